"""An image and its patches in another order, which attention alone cannot distinguish."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from .style import DPI


def shuffle_patches(image, order):
    """Cut a square image into as many square patches as `order` is long, and rearrange them.

    Patches are numbered row by row; place i gets patch `order[i]`. The side of the image must
    be divisible by the number of patches in a row. (rows, columns, 3) -> the same shape.
    """
    side = int(len(order) ** 0.5)
    size = len(image) // side
    patches = image.reshape(side, size, side, size, 3).swapaxes(1, 2).reshape(-1, size, size, 3)
    rearranged = patches[np.asarray(order)].reshape(side, side, size, size, 3)
    return rearranged.swapaxes(1, 2).reshape(image.shape)


def draw_shuffled(image, order):
    """Draw an image beside its shuffled patches, each with its number from the first.

    Returns the figure and its alt text.
    """
    in_order = np.arange(len(order))
    order = np.asarray(order)
    moved = (order != in_order).sum()
    title = f"The same {len(order)} patches, {moved} of them in another place"
    figure = Figure(figsize=(5.8, 3.4), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=12)
    for axes, places, label in zip(
        figure.subplots(1, 2), (in_order, order), ("Original", "Shuffled"), strict=True
    ):
        _draw_patches(axes, shuffle_patches(image, places), places)
        axes.set_title(label)
    row = ", ".join(map(str, order[: int(len(order) ** 0.5)]))
    return figure, (
        f"{title}: {len(order)} numbered patches of a photograph, in order and shuffled; the first "
        f"row now holds patches {row}."
    )


def _draw_patches(axes, image, numbers):
    side = int(len(numbers) ** 0.5)
    box = -0.5, side - 0.5, side - 0.5, -0.5
    axes.imshow(image, extent=box, interpolation="nearest")  # the pixels, no more
    halo = [withStroke(linewidth=3, foreground="white")]
    for place, number in enumerate(numbers):
        row, column = divmod(place, side)
        axes.text(column, row, number, ha="center", va="center", path_effects=halo)
    axes.set(xticks=[], yticks=[])
