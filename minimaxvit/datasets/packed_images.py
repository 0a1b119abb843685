"""A few images as text, so that a record can show them where their data set is missing."""

import io
from base64 import b64decode, b64encode

import numpy as np
import torch
from einops import rearrange
from PIL import Image


def pack_images(images):
    """Turn uint8 (n, 3, h, w) into the base64 text of a PNG file, one image below the other."""
    if not len(images):
        return ""
    pixels = rearrange(images.cpu(), "n c h w -> (n h) w c").contiguous().numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", optimize=True)
    return b64encode(file.getvalue()).decode("ascii")


def unpack_images(text, n):
    """Return the n images of `pack_images`: uint8 (n, 3, h, w), exactly as they were."""
    if not n:
        return torch.empty(0, 3, 0, 0, dtype=torch.uint8)
    with Image.open(io.BytesIO(b64decode(text))) as image:
        pixels = torch.from_numpy(np.array(image))
    return rearrange(pixels, "(n h) w c -> n c h w", n=n).contiguous()
