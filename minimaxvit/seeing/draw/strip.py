"""What one token depends on, layer by layer down to the pixels, each map at its true resolution."""

from math import ceil

import numpy as np
from matplotlib.figure import Figure

from .style import DPI

COLUMNS = 4


def draw_strip(counts, title):
    """Draw which tokens of each layer lead to the query; the others are hatched.

    `counts` is what `trace` returns, or part of it: {layer: counts (h, w)}. Returns the figure and
    its alt text.
    """
    rows = ceil(len(counts) / COLUMNS)
    figure = Figure(figsize=(2.5 * COLUMNS, 0.6 + 2.9 * rows), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=11)
    described = []
    for place, (name, paths) in enumerate(counts.items(), start=1):
        reached = np.asarray(paths) > 0
        axes = figure.add_subplot(rows, COLUMNS, place)
        axes.patch.set(hatch="////", facecolor="white", edgecolor="gray")  # shows where none is
        axes.imshow(np.ma.masked_equal(reached, 0), cmap="Greys", vmin=0, vmax=1.2)
        number = f"{reached.sum()} of {reached.size}"
        axes.set_title(f"{name}\n{number}", fontsize=10)
        axes.set(xticks=[], yticks=[])
        described.append(f"{name}: {number}")
    return figure, f"{title}. Reached: {'; '.join(described)}."
