"""Small maps of numbers, two in a row, each number in its cell, on one shared scale."""

from math import ceil

import numpy as np
from matplotlib.figure import Figure

from .style import DPI

COLUMNS = 2  # more would leave no room for the numbers on a narrow page


def draw_maps(panels, title):
    """Draw one map per panel, from white for 0 to gray for the largest value of all.

    `panels` maps a label to an array (h, w) of numbers that are not negative. Returns the figure
    and its alt text.
    """
    maps = {label: np.asarray(values) for label, values in panels.items()}
    most = max(values.max() for values in maps.values())
    rows = ceil(len(maps) / COLUMNS)
    figure = Figure(figsize=(2.9 * COLUMNS, 0.4 + 3.2 * rows), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=12)
    for place, (label, values) in enumerate(maps.items(), start=1):
        axes = figure.add_subplot(rows, COLUMNS, place)
        axes.imshow(values, cmap="Greys", vmin=0, vmax=2 * most)  # black text stays legible
        for (row, column), value in np.ndenumerate(values):
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=9)
        axes.set_title(label, fontsize=11)
        axes.set(xticks=[], yticks=[])
    return figure, f"{title}. {'; '.join(map(_describe, maps, maps.values()))}."


def _describe(label, values):
    middle, values = values[values.shape[0] // 2, values.shape[1] // 2].round(2), values.round(2)
    return (
        f"{label}: {middle:.2f} in the middle, {values[0, 0]:.2f} in the corner, "
        f"{values.max():.2f} at most, {(values != middle).sum()} of {values.size} differ from the "
        f"middle"
    )
