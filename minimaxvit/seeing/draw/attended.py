"""What each head of an attention attends to from one token, on the map and beside the image."""

from math import ceil
from textwrap import fill

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import DPI, frame

FONT = 12  # large enough for a page of 400 pixels
LINE = 66  # characters of a title that fit into one line
COLUMNS = 2
LEGIBLE = 8  # the longest side, in tokens, on which a number fits into each of them


def draw_attended(image, rows, query, title):
    """Draw an image, and what each head attends to from one of its tokens, on one shared scale.

    `image` is uint8 (rows, columns, 3); `rows` (heads, h, w) are attention weights, as
    `Attention.row` returns them for one image: exactly 0 outside the group, where the map is
    hatched; `query` is (row, column) and framed. Each token shows its weight in percent, where that
    fits. Returns the figure and its alt text.
    """
    rows = torch.as_tensor(rows).cpu().numpy()
    heads, h, w = rows.shape
    lines = ceil((heads + 1) / COLUMNS)
    figure = Figure(figsize=(7, 0.4 + 3.9 * lines), dpi=DPI, layout="constrained")
    figure.suptitle(fill(title, LINE), fontsize=FONT)
    axes = figure.add_subplot(lines, COLUMNS, 1)
    axes.imshow(image, extent=(-0.5, w - 0.5, h - 0.5, -0.5))
    axes.set_title("the query is framed", fontsize=FONT)
    _finish(axes, query)
    described = []
    for head, weights in enumerate(rows, start=1):
        axes = figure.add_subplot(lines, COLUMNS, 1 + head)
        axes.patch.set(hatch="////", facecolor="white", edgecolor="gray")  # shows outside the group
        axes.imshow(np.ma.masked_equal(weights, 0), cmap="Greys", vmin=0, vmax=rows.max())
        if max(h, w) <= LEGIBLE:
            _write_percents(axes, weights, rows.max())
        row, column = np.unravel_index(weights.argmax(), (h, w))
        most = f"{weights.max():.0%} at row {row}, column {column}"
        axes.set_title(f"head {head}: most,\n{most}", fontsize=FONT)
        _finish(axes, query)
        described.append(f"head {head}: most, {most}")
    start = f"From row {query[0]}, column {query[1]} of {h} x {w} tokens"
    return figure, f"{title}. {start}: {'; '.join(described)}."


def _finish(axes, query):
    frame(axes, *query)
    for axis, name in ((axes.xaxis, "column"), (axes.yaxis, "row")):
        axis.set_major_locator(MaxNLocator(LEGIBLE, integer=True))
        axis.set_label_text(name, fontsize=FONT)
    axes.tick_params(labelsize=FONT)


def _write_percents(axes, weights, most):
    for (row, column), weight in np.ndenumerate(weights):
        if weight > 0:
            color = "white" if 2 * weight > most else "black"
            place = {"ha": "center", "va": "center", "fontsize": FONT}
            axes.text(column, row, f"{100 * weight:.0f}", color=color, **place)
