"""Get images to train and to test on, by the name of their data set."""

import torch

from .cifar10 import find_cifar10, load_cifar10
from .labeled_images import LabeledImages
from .shapes import SHAPE_CLASSES, draw_shapes


def load_data(name, path=None):
    """Get (training, test) images: "cifar10", "shapes", or "any": CIFAR-10 where it is found.

    Raises ValueError for another name.
    """
    return load_shapes() if choose_data(name, path) == "shapes" else load_cifar10(path)


def choose_data(name, path=None):
    """Say which data set `load_data` would load: "cifar10" or "shapes"."""
    if name not in ("any", "cifar10", "shapes"):
        raise ValueError(f"no data set is called {name!r}: choose cifar10, shapes or any")
    if name != "any":
        return name
    try:
        find_cifar10(path)
    except FileNotFoundError:
        if path:
            raise
        return "shapes"
    return "cifar10"


def load_shapes(train_size=20_000, test_size=2_000):
    """Draw shapes to train on and others to test on, in a few seconds and without any download."""
    sets = []
    for count, seed in ((train_size, 0), (test_size, 1)):
        images, labels = draw_shapes(count, seed)
        images, labels = torch.from_numpy(images), torch.from_numpy(labels).long()
        sets.append(LabeledImages(images, labels, SHAPE_CLASSES, "shapes"))
    return tuple(sets)
