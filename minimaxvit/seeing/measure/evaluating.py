"""Run a model without changing it: in evaluation mode, on images in its own precision."""

from contextlib import contextmanager

from ...datasets.labeled_images import normalize


@contextmanager
def evaluating(model):
    """Put a model in evaluation mode in a `with` block, then restore the mode of each module."""
    modes = {part: part.training for part in model.modules()}
    try:
        yield model.eval()
    finally:
        for part, training in modes.items():
            part.training = training


def prepare(model, images):
    """Turn uint8 images into what this model reads, in its precision and on its device."""
    return normalize(images).to(next(model.parameters()))
