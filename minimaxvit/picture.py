"""A picture that somebody has, made into what a network reads."""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps


def read_picture(path, side):
    """Read a PNG or JPEG, cut its middle square and bring it to size.

    Returns uint8 (1, 3, side, side) and a note on what was done to it, empty if nothing.
    FileNotFoundError if there is no such file, ValueError if it cannot be read.
    """
    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened)  # phones say which way they were held
            if picture.mode.startswith("I"):  # 16 bits of grey
                picture = Image.fromarray((np.asarray(picture) // 257).astype(np.uint8))
            pixels = torch.from_numpy(np.array(picture.convert("RGB")))
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no picture {path}") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as a PNG or JPEG: {error}") from None
    pixels = pixels.permute(2, 0, 1)  # (c, h, w)
    h, w = pixels.shape[1:]
    short = min(h, w)
    top, left = (h - short) // 2, (w - short) // 2
    square = pixels[None, :, top : top + short, left : left + short].float()
    resized = F.interpolate(square, (side, side), mode="bilinear", antialias=True)
    done = [f"the middle square of {h} x {w} pixels"] * (h != w)
    done += [f"brought from {short} x {short} to {side} x {side}"] * (short != side)
    return resized.round().clamp(0, 255).to(torch.uint8), ", ".join(done)
