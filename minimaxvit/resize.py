"""Use a trained network at another image size, as the official ones for 384 and 512 began."""

import torch
import torch.nn.functional as F

from .modes import unwrapped
from .network import MaxViT
from .sizes import with_image_size


def bilinear(table, side):
    """Resize the last two axes of a table, as TensorFlow does: (..., p, p) -> (..., side, side)."""
    maps = table.flatten(0, -3)[None]
    return F.interpolate(maps, (side, side), mode="bilinear").view(*table.shape[:-2], side, side)


def resize(model, image_size, resize_table=bilinear):
    """Copy a network for square images of `image_size` pixels, whose windows grow with the images.

    There are as many windows as before: 7 tokens wide at 224, 12 at 384 and 16 at 512. What is
    learned per position (the tables of relative positions; a ViT's positions) is resized by
    `resize_table(table, side)`, and all else is kept. Fine-tune it then: it has not seen such
    images. Raises ValueError for a size whose windows or patches would not be whole.
    Source: google-research/maxvit, attention layer, scale_ratio.
    """
    inner = unwrapped(model)
    with torch.random.fork_rng(devices=[]):
        resized = MaxViT(with_image_size(inner.config, image_size)).to(next(inner.parameters()))
    tensors = inner.state_dict()
    for name, tensor in resized.state_dict().items():
        if tensor.shape != tensors[name].shape:
            tensors[name] = resize_table(tensors[name], tensor.shape[-1])
    resized.load_state_dict(tensors)
    return resized.train(inner.training)
