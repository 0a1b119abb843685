"""Show the network each picture a little differently every time: mirrored, moved, with a hole.

All of it works on a whole uint8 batch at once, on the batch's device, from a seeded generator.
"""

import torch
import torch.nn.functional as F


def augment(images, mirrored, generator, shift=4, hole=8):
    """Mirror the pictures told, move each by up to `shift` pixels, and cut a square hole.

    Shapes: images (b, c, h, w) -> (b, c, h, w), mirrored bool (b,); `shift` and `hole` in pixels, 0
    leaves that step out. `generator` must live on the device of the pictures.
    """
    images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)
    images = move(images, generator, shift)
    return cut_hole(images, generator, hole)


def mirrored_in(epoch, pictures, seed, device="cpu"):
    """Choose half of the pictures by chance to be mirrored in even epochs, the rest in odd ones.

    With a new coin each epoch, half of them would show the same side again (Jordan 2024,
    "alternating flip"). Shapes: (pictures,), bool.
    """
    generator = torch.Generator(device).manual_seed(seed)
    half = torch.rand(pictures, generator=generator, device=device) < 0.5
    return half ^ (epoch % 2 == 1)


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
