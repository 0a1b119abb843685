"""Ask a model without changing it: in evaluation, and with pictures in its own precision."""

from contextlib import contextmanager

from ..data import normalise


@contextmanager
def evaluating(model):
    """Let a model evaluate in a `with` block, and give back each of its parts in its own mode."""
    modes = {part: part.training for part in model.modules()}
    try:
        yield model.eval()
    finally:
        for part, training in modes.items():
            part.training = training


def ready(model, images):
    """Turn uint8 pictures into what this model reads, in its precision and on its device."""
    return normalise(images).to(next(model.parameters()))
