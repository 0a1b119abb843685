"""An image file of one's own, made into what a network reads.

It must be clear what the file means: where it is not, it is refused, or a note says what was done.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps

GROUND = (255, 255, 255)  # what transparent pixels are shown on, as by most programs


def read_image(path, h, w, crop=1):
    """Read a PNG or JPEG file, crop its center to the shape of h x w pixels and resize it.

    `crop` is the fraction that is kept of what has that shape, None to squash the whole image.
    Returns uint8 (1, 3, h, w), and a note on what was done to it, or an empty one.
    FileNotFoundError if there is no such file, ValueError if it cannot be read.
    """
    path = Path(path).expanduser()
    try:
        with Image.open(path) as opened:
            opened.load()
            image, done = _upright(opened)
            image, shown_on = _in_rgb(image)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no image {path}") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as a PNG or JPEG: {error}") from None
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)  # (c, h, w)
    cropped = pixels if crop is None else _center(pixels, h, w, crop)
    kind = "square" if h == w else "part"
    whole, part = (" x ".join(map(str, each.shape[1:])) for each in (pixels, cropped))
    resized = F.interpolate(cropped[None].float(), (h, w), mode="bilinear", antialias=True)
    done += shown_on + [f"the center {kind} of {whole} pixels"] * (whole != part)
    done += [f"resized from {part} to {h} x {w}"] * (part != f"{h} x {w}")
    return resized.round().to(torch.uint8), ", ".join(done)


def _upright(image):
    """Turn an image as the camera noted that it was held: the image, and a list of notes."""
    try:
        return ImageOps.exif_transpose(image), []
    except Exception:  # whatever Pillow makes of a note that is damaged; the pixels are there
        return image, ["its note on how the camera was held cannot be read"]


def _in_rgb(image):
    """Convert to RGB: the image, and a list of notes. ValueError if its range is not known."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ValueError(f"its pixels are numbers of no known range (mode {image.mode})")
    if not image.has_transparency_data:
        return image.convert("RGB"), []
    image = image.convert("RGBA")
    ground = Image.new("RGBA", image.size, GROUND)
    see_through = image.getextrema()[3][0] < 255
    return Image.alpha_composite(ground, image).convert("RGB"), ["shown on white"] * see_through


def _center(pixels, h, w, crop):
    """Crop a centered part with the proportions of h x w: (c, H, W) -> (c, h', w')."""
    height, width = pixels.shape[1:]
    part_h = max(1, round(crop * min(height, width * h / w)))
    part_w = max(1, round(crop * min(width, height * w / h)))
    top, left = (height - part_h) // 2, (width - part_w) // 2
    return pixels[:, top : top + part_h, left : left + part_w]
