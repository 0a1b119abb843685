"""A table of relative position biases, and what a query reads from it, number by number."""

from math import ceil

import numpy as np
from matplotlib.figure import Figure

from .style import DPI, frame


def draw_offsets(title, panels, shared=True):
    """Draw panels of numbers, on one `shared` scale or each on its own, each with a framed cell.

    A panel is (label, numbers, first, framed): a text, an array (rows, columns), the number of its
    first row and column (0 for the tokens of a window, 1 - p for the offsets of a table), and the
    framed row and column, counted in the same way. Returns the figure and its alt text.
    """
    panels = [(label, np.asarray(numbers), *rest) for label, numbers, *rest in panels]
    every = np.concatenate([numbers.ravel() for _, numbers, _, _ in panels])
    rows = ceil(len(panels) / 2)  # two in a row, so that numbers can be read on a small screen
    figure = Figure(figsize=(7.2, 3.8 * rows + 0.3), dpi=DPI, layout="constrained")
    figure.suptitle(title)
    for place, (label, numbers, first, framed) in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, 2, place)
        scale = every if shared else numbers
        _draw_numbers(axes, numbers, first, framed, (scale.min(), scale.max()))
        axes.set_title(label, fontsize=11)
    return figure, ". ".join([title, *(_describe(*panel) for panel in panels)]) + "."


def _draw_numbers(axes, numbers, first, framed, limits):
    low, high = limits
    side = len(numbers)
    axes.imshow(numbers, cmap="cividis", vmin=low, vmax=high)
    frame(axes, framed[0] - first, framed[1] - first)
    for (row, column), number in np.ndenumerate(numbers):
        color = "black" if 2 * number > low + high else "white"
        size = 10 if side > 5 else 12
        place = {"ha": "center", "va": "center", "fontsize": size}
        axes.text(column, row, _number(number), color=color, **place)
    down, right = ("offset down", "offset right") if first < 0 else ("row", "column")
    names = range(first, first + side)
    axes.set_xticks(range(side), names)
    axes.set_yticks(range(side), names)
    axes.set(xlabel=right, ylabel=down)


def _describe(label, numbers, first, framed):
    row, column = framed
    place = (first + int(i) for i in np.unravel_index(numbers.argmax(), numbers.shape))
    return (
        f"{label}: {_number(numbers[row - first, column - first])} in the frame at "
        f"{row}, {column}; smallest {_number(numbers.min())}, "
        f"largest {_number(numbers.max())} at {', '.join(map(str, place))}"
    )


def _number(number):
    return f"{round(float(number), 1) + 0:g}"
