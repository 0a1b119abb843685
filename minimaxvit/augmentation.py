"""Show the network each picture a little differently every time: mirrored, moved, with a hole.

All of it works on a whole uint8 batch at once, on the batch's device, from a seeded generator.
"""

import torch
import torch.nn.functional as F


def augment(images, generator, shift=4, hole=8):
    """Mirror half of the pictures, move each by up to `shift` pixels, and cut a square hole.

    Shapes: (b, c, h, w) -> (b, c, h, w); `shift` and `hole` in pixels, 0 leaves that step out.
    `generator` must live on the device of the pictures.
    """
    images = flip(images, generator)
    images = move(images, generator, shift)
    return cut_hole(images, generator, hole)


def flip(images, generator):
    """Mirror each picture left to right with probability one half."""
    mirrored = torch.rand(_each(images), generator=generator, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(3), images)


def move(images, generator, shift):
    """Move each picture by -shift to shift pixels on either axis, as seen through its old frame.

    What comes into the frame is the picture mirrored at its edge.
    """
    if shift == 0:
        return images
    b, _, h, w = images.shape
    padded = F.pad(images.float(), 4 * [shift], mode="reflect").to(images.dtype)
    frames = padded.unfold(2, h, 1).unfold(3, w, 1)  # (b, c, 2 * shift + 1, 2 * shift + 1, h, w)
    down, right = _corners(images, generator, 2 * shift + 1, 2 * shift + 1)
    return frames[torch.arange(b, device=images.device), :, down.flatten(), right.flatten()]


def cut_hole(images, generator, hole):
    """Grey out a square of `hole` pixels a side, anywhere inside each picture (DeVries 2017)."""
    if hole == 0:
        return images
    h, w = images.shape[2:]
    top, left = _corners(images, generator, h - hole + 1, w - hole + 1)
    row = torch.arange(h, device=images.device).view(1, 1, h, 1)
    column = torch.arange(w, device=images.device).view(1, 1, 1, w)
    inside = (row >= top) & (row < top + hole) & (column >= left) & (column < left + hole)
    return images.masked_fill(inside, 128)


def _each(images):
    return len(images), 1, 1, 1


def _corners(images, generator, *ends):
    options = {"generator": generator, "device": images.device}
    return [torch.randint(end, _each(images), **options) for end in ends]
