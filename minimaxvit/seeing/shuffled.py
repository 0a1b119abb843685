"""A picture and the same patches in another order, which attention alone cannot tell apart."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from .partitions import DPI


def shuffle_patches(picture, order):
    """Cut a square picture into as many square patches as `order` is long, and lay them anew.

    Patches are numbered row by row; place i gets patch `order[i]`. The side of the picture must
    divide by the patches a side. (rows, columns, 3) -> the same shape.
    """
    side = int(len(order) ** 0.5)
    size = len(picture) // side
    patches = picture.reshape(side, size, side, size, 3).swapaxes(1, 2).reshape(-1, size, size, 3)
    laid = patches[np.asarray(order)].reshape(side, side, size, size, 3)
    return laid.swapaxes(1, 2).reshape(picture.shape)


def draw_shuffled(picture, order):
    """Draw a picture beside its shuffled patches, each with its number from the first picture.

    Returns the figure and a sentence with its numbers.
    """
    figure = Figure(figsize=(8, 4.4), dpi=DPI, layout="constrained")
    figure.suptitle("To attention alone these two are the same: a set of patches")
    asis = np.arange(len(order))
    order = np.asarray(order)
    for axes, places, title in zip(
        figure.subplots(1, 2), (asis, order), ("As it is", "Shuffled"), strict=True
    ):
        _draw_patches(axes, shuffle_patches(picture, places), places)
        axes.set_title(title)
    row = ", ".join(map(str, order[: int(len(order) ** 0.5)]))
    return figure, (
        f"{len(order)} numbered patches of a photograph, as they are and shuffled: "
        f"{(order != asis).sum()} stand elsewhere; the first row now holds patches {row}."
    )


def _draw_patches(axes, picture, numbers):
    side = int(len(numbers) ** 0.5)
    box = -0.5, side - 0.5, side - 0.5, -0.5
    axes.imshow(picture, extent=box, interpolation="nearest")  # the pixels, no more
    halo = [withStroke(linewidth=3, foreground="white")]
    for place, number in enumerate(numbers):
        row, column = divmod(place, side)
        axes.text(column, row, number, ha="center", va="center", path_effects=halo)
    axes.set(xticks=range(side), yticks=range(side), xlabel="column", ylabel="row")
