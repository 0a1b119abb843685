"""Turn images into what a model reads."""

from ...datasets.labeled_images import normalize


def prepare(model, images):
    """Turn uint8 images into what this model reads, in its precision and on its device."""
    return normalize(images).to(next(model.parameters()))
