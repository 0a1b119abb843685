"""The paths by which tokens reach a query through one attention after another."""

from math import ceil

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from .style import DPI, frame

FONT = 12  # large enough for a page of 400 pixels
LEGIBLE = 16  # the longest side, in tokens, on which a number fits into each of them


def draw_reach(panels, lattices=()):
    """Draw path counts, one map per panel, on one shared scale; tokens without a path are hatched.

    A panel is (label, query, paths): a text, (row, column) and int (h, w). `lattices` has a bool
    (h, w) for each panel: tokens to mark with a thin frame. Returns the figure and its alt text.
    """
    most = max(paths.max() for _, _, paths in panels)
    rows = ceil(len(panels) / 2)
    figure = Figure(figsize=(7, 0.7 + 4.1 * rows), dpi=DPI, layout="constrained")
    title = "Paths from each token to the framed query; hatched: no path"
    figure.suptitle(title + "\n(thin frames: the query's lattice)" * bool(lattices), fontsize=FONT)
    for place, (label, query, paths) in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, 2, place)
        if lattices:
            _mark(axes, lattices[place - 1])
        _draw_paths(axes, query, paths, most)
        axes.set_title(f"{label}:\n{_summary(paths)}".replace(", by", ",\nby"), fontsize=FONT)
        axes.set_xlabel("column", fontsize=FONT)
        axes.set_ylabel("row", fontsize=FONT)
        axes.tick_params(labelsize=FONT)
        down, across = (range(0, side, max(1, side // 4)) for side in paths.shape)
        axes.set(xticks=across, yticks=down)
    return figure, "; ".join(f"{label}: {_summary(paths)}" for label, _, paths in panels) + "."


def _mark(axes, tokens):
    edge = withStroke(linewidth=2.5, foreground="white")
    for row, column in np.argwhere(tokens):
        corner = column - 0.5, row - 0.5
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, linewidth=0.8, path_effects=[edge]))


def _draw_paths(axes, query, paths, most):
    axes.patch.set(hatch="////", facecolor="white", edgecolor="gray")  # shows where none is drawn
    axes.imshow(np.ma.masked_equal(paths, 0), cmap="cividis", vmin=0, vmax=most)
    frame(axes, *query)
    if max(paths.shape) > LEGIBLE:
        return
    for (row, column), count in np.ndenumerate(paths):
        color = "black" if 2 * count > most else "white"
        axes.text(column, row, count, ha="center", va="center", color=color, fontsize=FONT - 1)


def _summary(paths):
    seen = paths[paths > 0]
    each = " to ".join(map(str, sorted({seen.min(), seen.max()})))
    return f"{seen.size} of {paths.size} seen, by {each} path{'s' * (each != '1')} each"
