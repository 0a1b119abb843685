"""An image file of one's own, made into what a network reads."""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps


def read_image(path, side):
    """Read a PNG or JPEG file, crop its center square and resize it.

    Returns uint8 (1, 3, side, side), and a note on what was done to it, or an empty one.
    FileNotFoundError if there is no such file, ValueError if it cannot be read.
    """
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)  # cameras note how they were held
            if image.mode.startswith("I"):  # 16 bits of gray
                image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
            pixels = torch.from_numpy(np.array(image.convert("RGB")))
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no image {path}") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as a PNG or JPEG: {error}") from None
    pixels = pixels.permute(2, 0, 1)  # (c, h, w)
    h, w = pixels.shape[1:]
    short = min(h, w)
    top, left = (h - short) // 2, (w - short) // 2
    square = pixels[None, :, top : top + short, left : left + short].float()
    resized = F.interpolate(square, (side, side), mode="bilinear", antialias=True)
    done = [f"the center square of {h} x {w} pixels"] * (h != w)
    done += [f"resized from {short} x {short} to {side} x {side}"] * (short != side)
    return resized.round().clamp(0, 255).to(torch.uint8), ", ".join(done)
