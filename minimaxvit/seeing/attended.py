"""What each head of an attention looks at from one token, on the map and beside the picture."""

from math import ceil

import numpy as np
import torch
from matplotlib.figure import Figure

from .partitions import DPI, frame

COLUMNS = 4
LEGIBLE = 12  # tokens a side up to which a number fits into each of them


def draw_attended(picture, rows, query, title):
    """Draw a picture, and what each head attends to from one of its tokens, on one shared scale.

    `picture` is uint8 (rows, columns, 3); `rows` (heads, h, w) the shares of attention, as
    `Attention.row` gives them, exactly 0 outside the group, which is hatched; `query` is (row,
    column) and framed. In each token stands its share in percent, where it fits. Returns the figure
    and a sentence with its numbers.
    """
    rows = torch.as_tensor(rows).cpu().numpy()
    heads, h, w = rows.shape
    lines = ceil((heads + 1) / COLUMNS)
    figure = Figure(figsize=(2.7 * COLUMNS, 0.4 + 2.95 * lines), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=11)
    axes = figure.add_subplot(lines, COLUMNS, 1)
    axes.imshow(picture, extent=(-0.5, w - 0.5, h - 0.5, -0.5))
    axes.set_title("the query is framed", fontsize=9)
    _finish(axes, query)
    told = []
    for head, shares in enumerate(rows, start=1):
        axes = figure.add_subplot(lines, COLUMNS, 1 + head)
        axes.patch.set(hatch="////", facecolor="white", edgecolor="grey")  # shows outside the group
        axes.imshow(np.ma.masked_equal(shares, 0), cmap="Greys", vmin=0, vmax=rows.max())
        if max(h, w) <= LEGIBLE:
            _write_percents(axes, shares, rows.max())
        top = np.unravel_index(shares.argmax(), (h, w))
        most = f"{shares.max():.0%} at {top[0]}, {top[1]}"
        axes.set_title(f"head {head}: {most}", fontsize=9)
        _finish(axes, query)
        told.append(f"head {head}: most, {most}")
    asked = f"From row {query[0]}, column {query[1]} of {h} x {w} tokens"
    return figure, f"{title}. {asked}: {'; '.join(told)}."


def _finish(axes, query):
    frame(axes, *query)
    axes.set(xticks=[], yticks=[])


def _write_percents(axes, shares, most):
    for (row, column), share in np.ndenumerate(shares):
        if share > 0:
            colour = "white" if 2 * share > most else "black"
            place = {"ha": "center", "va": "center", "fontsize": 7}
            axes.text(column, row, f"{100 * share:.0f}", color=colour, **place)
