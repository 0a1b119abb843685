"""What one token depends on, layer by layer down to the pixels, each map at its true resolution."""

from math import ceil
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure

from .style import DPI

FONT = 12  # large enough for a page of 400 pixels
LINE = 66  # characters of a title that fit into one line
COLUMNS = 2


def draw_strip(counts, title):
    """Draw which tokens of each layer lead to the query; the others are hatched.

    `counts` is what `trace` returns, or part of it: {layer: counts (h, w)}. All maps are drawn at
    one size, with ticks at the quarters of each side, so that a tick is at the same place of the
    image in all of them. A token that is alone on its map is circled. Returns the figure and its
    alt text.
    """
    rows = ceil(len(counts) / COLUMNS)
    figure = Figure(figsize=(7, 0.6 + 4 * rows), dpi=DPI, layout="constrained")
    figure.suptitle(fill(title, LINE), fontsize=FONT)
    described = []
    for place, (name, paths) in enumerate(counts.items(), start=1):
        reached = np.asarray(paths) > 0
        axes = figure.add_subplot(rows, COLUMNS, place)
        axes.patch.set(hatch="////", facecolor="white", edgecolor="gray")  # shows where none is
        axes.imshow(np.ma.masked_equal(reached, 0), cmap="Greys", vmin=0, vmax=1.2)
        if reached.sum() == 1:
            _circle(axes, *np.argwhere(reached)[0])
        number = f"{reached.sum():,} of {reached.size:,}"
        axes.set_title(f"{name}\n{number}", fontsize=FONT)
        _number_sides(axes, reached.shape, "pixels" if name == "pixels" else "tokens")
        described.append(f"{name}: {number}")
    return figure, f"{title}. Reached: {'; '.join(described)}."


def _circle(axes, row, column):
    axes.plot(column, row, "o", ms=16, mfc="none", mec="white", mew=4)
    axes.plot(column, row, "o", ms=16, mfc="none", mec="black", mew=1.5)


def _number_sides(axes, shape, unit):
    h, w = shape
    axes.set(xticks=range(0, w, ceil(w / 4)), yticks=range(0, h, ceil(h / 4)))
    axes.tick_params(labelsize=FONT)
    axes.set_xlabel(f"column ({unit})", fontsize=FONT)
    axes.set_ylabel(f"row ({unit})", fontsize=FONT)
