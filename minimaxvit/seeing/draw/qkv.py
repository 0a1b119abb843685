"""Query, key, value and attention weights of a few tokens: the tables, number by number."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from .style import DPI, frame


def draw_qkv(image, tables, weights, marked, title, names):
    """Draw the tokens of a square map, their query, key and value, and their attention weights.

    `image` is uint8 (rows, columns, 3), which the map covers; `tables` is {"query": (t, d), "key",
    "value"} of one head, drawn on one scale, and `names` are those of the d columns; `weights` is
    (t, t), one row per query. `marked` is the number of a token, whose row of each table is framed,
    and whose weights are also laid on the map. Returns the figure and its alt text.
    """
    tables = {name: np.asarray(numbers) for name, numbers in tables.items()}
    weights = np.asarray(weights)
    side = int(len(weights) ** 0.5)
    figure = Figure(figsize=(5.8, 7.2), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=12)
    above, below = figure.subfigures(2, 1, height_ratios=(3, 3.4))
    panels = above.subplots(1, 4, width_ratios=(2.1, 1, 1, 1))
    most = max(abs(numbers).max() for numbers in tables.values())
    _tokens(panels[0], image, side, marked)
    for axes, (name, numbers) in zip(panels[1:], tables.items(), strict=True):
        axes.imshow(numbers, cmap="RdGy_r", vmin=-2 * most, vmax=2 * most, aspect="auto")
        _write(axes, numbers, _number)
        _mark(axes, marked, numbers.shape[1])
        axes.set_title(name, fontsize=11)
        axes.set_xticks(range(len(names)), names, fontsize=9)
        axes.set_yticks(range(len(numbers)) if axes is panels[1] else [])
    panels = below.subplots(1, 2, width_ratios=(2, 1))
    for axes, numbers in zip(panels, (weights, weights[marked].reshape(side, side)), strict=True):
        axes.imshow(numbers, cmap="Greys", vmin=0, vmax=2 * weights.max())
        _write(axes, numbers, _percent)
    _mark(panels[0], marked, len(weights))
    panels[0].set_title("attention weights in %", fontsize=11)
    panels[0].set(xlabel="key", ylabel="query")
    panels[0].set(xticks=range(len(weights)), yticks=range(len(weights)))
    panels[1].set_title(f"row {marked}, on the map", fontsize=11)
    panels[1].set(xticks=[], yticks=[])
    frame(panels[1], *divmod(marked, side))
    return figure, _describe(title, tables, weights, marked)


def _tokens(axes, image, side, marked):
    axes.imshow(image, extent=(-0.5, side - 0.5, side - 0.5, -0.5))
    halo = [withStroke(linewidth=3, foreground="white")]
    for token in range(side * side):
        row, column = divmod(token, side)
        axes.text(column, row, token, ha="center", va="center", fontsize=12, path_effects=halo)
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, ec="white", lw=1))
    frame(axes, *divmod(marked, side))
    axes.set_title("tokens", fontsize=11)
    axes.set(xticks=[], yticks=[])


def _write(axes, numbers, form):
    for (row, column), number in np.ndenumerate(numbers):
        axes.text(column, row, form(number), ha="center", va="center", fontsize=10)


def _mark(axes, row, columns):
    edge = withStroke(linewidth=4, foreground="white")
    corner = -0.5, row - 0.5
    axes.add_patch(Rectangle(corner, columns, 1, fill=False, lw=2, path_effects=[edge], zorder=3))


def _describe(title, tables, weights, marked):
    told = [
        f"{name} ({', '.join(map(_number, numbers[marked]))})" for name, numbers in tables.items()
    ]
    row = ", ".join(map(_percent, weights[marked]))
    return (
        f"{title}. Token {marked} of {len(weights)}: {', '.join(told)}; its attention weights for "
        f"tokens 0 to {len(weights) - 1}, in percent: {row}."
    )


def _number(number):
    return f"{round(float(number), 1) + 0:.1f}"  # without the sign of -0


def _percent(weight):
    return f"{100 * weight:.0f}"
