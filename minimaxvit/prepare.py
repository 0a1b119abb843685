"""Bytes made into what a certain model reads."""

from .modes import unwrapped
from .pixels import normalize


def prepare(model, images):
    """Normalize uint8 images as a model's configuration says, of its type and on its device."""
    config = getattr(unwrapped(model), "config", None)
    normalized = getattr(config, "normalize", normalize)(images)
    return normalized.to(next(model.parameters(), normalized))
