"""How far a token sees through attention after attention: counted, then drawn."""

from math import ceil

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from .partitions import DPI, frame, group_map

LEGIBLE = 16  # tokens a side up to which a number fits into each of them


def count_paths(partitions, h, w, side, query):
    """Count the ways by which each token reaches the query through attentions in this order.

    An attention joins all tokens of a group, so the count is a row of the product of the same-group
    matrices; it is taken from the last attention back, as the query gathers through that one.
    `side` is the window and the grid, `query` (row, column). Returns int (h, w); 0: never seen.
    """
    paths = np.zeros(h * w, dtype=int)
    paths[np.ravel_multi_index(query, (h, w))] = 1
    for partition in reversed(partitions):
        groups = group_map(partition, h, w, side).ravel()
        in_group = np.zeros(groups.max() + 1, dtype=int)
        np.add.at(in_group, groups, paths)
        paths = in_group[groups]
    return paths.reshape(h, w)


def draw_reach(panels, lattices=()):
    """Draw path counts, one panel each on one shared scale; what is never reached is hatched.

    A panel is (label, query, paths): a text, (row, column) and int (h, w). `lattices` has a bool
    (h, w) for each panel: tokens to mark by a thin frame. Returns the figure and a sentence with
    its numbers.
    """
    most = max(paths.max() for _, _, paths in panels)
    rows = ceil(len(panels) / 2)
    figure = Figure(figsize=(9.2, 4.8 * rows), dpi=DPI, layout="constrained")
    title = "Paths from each token to the framed query (numbers where they fit); hatched: no path"
    figure.suptitle(title + "\nThin frames: the query's lattice" * bool(lattices))
    for place, (label, query, paths) in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, 2, place)
        if lattices:
            _mark(axes, lattices[place - 1])
        _draw_paths(axes, query, paths, most)
        axes.set_title(f"{label}: {_summary(paths)}", fontsize=10)
        axes.set(xlabel="column", ylabel="row")
    return figure, "; ".join(f"{label}: {_summary(paths)}" for label, _, paths in panels) + "."


def _mark(axes, tokens):
    edge = withStroke(linewidth=2.5, foreground="white")
    for row, column in np.argwhere(tokens):
        corner = column - 0.5, row - 0.5
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, linewidth=0.8, path_effects=[edge]))


def _draw_paths(axes, query, paths, most):
    axes.patch.set(hatch="////", facecolor="white", edgecolor="grey")  # shows where none is drawn
    axes.imshow(np.ma.masked_equal(paths, 0), cmap="cividis", vmin=0, vmax=most)
    frame(axes, *query)
    if max(paths.shape) > LEGIBLE:
        return
    for (row, column), count in np.ndenumerate(paths):
        colour = "black" if 2 * count > most else "white"
        axes.text(column, row, count, ha="center", va="center", color=colour)


def _summary(paths):
    seen = paths[paths > 0]
    each = " to ".join(map(str, sorted({seen.min(), seen.max()})))
    return f"{seen.size} of {paths.size} seen, by {each} path{'s' * (each != '1')} each"
