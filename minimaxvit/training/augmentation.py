"""Show the network each image a little differently every time: flipped, translated, cut out.

All of it works on a whole uint8 batch at once, on the batch's device, from a seeded generator.
"""

import torch
import torch.nn.functional as F


def augment(images, flipped, generator, translate=4, cutout=8):
    """Flip the images in `flipped`, then translate and cut out at random.

    Shapes: images (b, c, h, w) -> (b, c, h, w), flipped bool (b,); `translate` and `cutout` are in
    pixels, 0 leaves that step out. `generator` must live on the device of the images.
    """
    images = torch.where(flipped.view(-1, 1, 1, 1), images.flip(3), images)
    images = random_translate(images, generator, translate)
    return random_cutout(images, generator, cutout)


def alternating_flip(epoch, count, seed, device="cpu"):
    """Choose at random half of the images to flip in even epochs; the others flip in odd ones.

    If every epoch drew anew, half of the images would look the same in two epochs running (Jordan
    2024, "alternating flip"). Shapes: bool (count,).
    """
    generator = torch.Generator(device).manual_seed(seed)
    half = torch.rand(count, generator=generator, device=device) < 0.5
    return half ^ (epoch % 2 == 1)


def random_flip(epoch, count, seed, device="cpu"):
    """Choose at random, anew every epoch, half of the images to flip. Shapes: bool (count,)."""
    return alternating_flip(0, count, seed * 1_000_003 + epoch, device)


def random_translate(images, generator, most):
    """Translate each image by -most to most pixels on either axis; the edge is reflected into it.

    Shapes: (b, c, h, w) -> (b, c, h, w).
    """
    if most == 0:
        return images
    b, _, h, w = images.shape
    padded = F.pad(images.float(), 4 * [most], mode="reflect").to(images.dtype)
    views = padded.unfold(2, h, 1).unfold(3, w, 1)  # (b, c, 2 * most + 1, 2 * most + 1, h, w)
    down, right = _corners(images, generator, 2 * most + 1, 2 * most + 1)
    return views[torch.arange(b, device=images.device), :, down.flatten(), right.flatten()]


def random_cutout(images, generator, side):
    """Gray out a square of `side` pixels somewhere inside each image (DeVries and Taylor 2017)."""
    if side == 0:
        return images
    h, w = images.shape[2:]
    top, left = _corners(images, generator, h - side + 1, w - side + 1)
    row = torch.arange(h, device=images.device).view(1, 1, h, 1)
    column = torch.arange(w, device=images.device).view(1, 1, 1, w)
    inside = (row >= top) & (row < top + side) & (column >= left) & (column < left + side)
    return images.masked_fill(inside, 128)


def _corners(images, generator, *ends):
    options = {"generator": generator, "device": images.device}
    return [torch.randint(end, (len(images), 1, 1, 1), **options) for end in ends]
