"""Use a model in another mode than its own, or without its wrapping, and leave it as it was."""

from contextlib import contextmanager


@contextmanager
def keeping_modes(model):
    """Restore, after a `with` block, whether each module was training, also after an exception."""
    modes = {module: module.training for module in model.modules()}
    try:
        yield model
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def evaluating(model):
    """Put a model in evaluation mode in a `with` block, then restore the mode of each module."""
    with keeping_modes(model):
        yield model.eval()


def unwrapped(model):
    """Take a model out of what torch.compile or DataParallel put around it."""
    inner = getattr(model, "_orig_mod", getattr(model, "module", None))
    return model if inner is None else unwrapped(inner)
