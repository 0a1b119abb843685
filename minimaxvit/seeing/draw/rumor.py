"""The rumor: the map that the tokens are given, beside how often each of them knows the color."""

from math import ceil
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .style import DPI, frame

FONT = 12  # large enough for a page of 400 pixels
COLORS = {"orange": "#d55e00", "blue": "#0072b2", "green": "#009e73", "pink": "#cc79a7"}
KNOWS = 0.6  # an accuracy between guessing, a quarter, and knowing, 1


def draw_rumor(given, panels, title):
    """Draw a map of gray noise with its colored token, and one map of accuracies per panel.

    `given` is (1 + colors, h, w), as `begin` makes it; `panels` maps a label to accuracies (h, w)
    from 0 to 1, which are written in percent. The colored token is framed in all of them. Returns
    the figure and its alt text.
    """
    gray, *colors = np.asarray(given)
    color, row, column = (int(axis[0]) for axis in np.nonzero(colors))
    name, shade = list(COLORS.items())[color]
    rows = ceil((1 + len(panels)) / 2)
    figure = Figure(figsize=(7, 0.6 + 3.7 * rows), dpi=DPI, layout="constrained")
    figure.suptitle(fill(title, 56), fontsize=FONT)
    axes = figure.add_subplot(rows, 2, 1)
    axes.imshow(gray, cmap="gray")
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, color=shade))
    _finish(axes, f"What is given: one {name} token", row, column)
    for place, (label, accuracies) in enumerate(panels.items(), start=2):
        axes = figure.add_subplot(rows, 2, place)
        _draw_accuracies(axes, np.asarray(accuracies))
        _finish(axes, f"{label}: correct (%)", row, column)
    described = "; ".join(f"{label}: {_describe(each)}" for label, each in panels.items())
    return figure, f"{title}. The {name} token is in row {row}, column {column}. {described}."


def _draw_accuracies(axes, accuracies):
    axes.imshow(accuracies, cmap="cividis", vmin=0, vmax=1)
    for (row, column), accuracy in np.ndenumerate(accuracies):
        color = "black" if accuracy > 0.5 else "white"
        place = {"ha": "center", "va": "center", "fontsize": FONT - 1}
        axes.text(column, row, f"{100 * accuracy:.0f}", color=color, **place)


def _finish(axes, title, row, column):
    frame(axes, row, column)
    axes.set_title(title, fontsize=FONT)
    axes.set(xticks=[], yticks=[])


def _describe(accuracies):
    knows = np.asarray(accuracies) > KNOWS
    return f"{knows.sum()} of {knows.size} tokens know it"
