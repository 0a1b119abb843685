"""What each head of an attention attends to from one token, laid over the image."""

from math import ceil
from textwrap import fill

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from .style import DPI, frame

FONT = 12  # large enough for a page of 400 pixels
LINE = 66  # characters of a title that fit into one line
COLUMNS = 2
LEGIBLE = 8  # the longest side, in tokens, on which a number fits into each of them
YELLOW = 1.0, 0.85, 0.0


def draw_attended(image, rows, query, title):
    """Draw an image, and over it what each head attends to from one token, on one shared scale.

    `image` is uint8 (rows, columns, 3), of any size, which the map covers; `rows` (heads, h, w) are
    attention weights, as `Attention.row` returns them for one image: exactly 0 outside the group,
    where the image is pale. The larger a weight, the more yellow its token, which shows it in
    percent where that fits; `query`, a (row, column), is framed. Returns the figure and its alt
    text.
    """
    rows = torch.as_tensor(rows).cpu().numpy()
    heads, h, w = rows.shape
    lines = ceil((heads + 1) / COLUMNS)
    figure = Figure(figsize=(7, 0.4 + 3.9 * lines), dpi=DPI, layout="constrained")
    figure.suptitle(fill(title, LINE), fontsize=FONT)
    group = (rows > 0).any(0)
    pale = np.where(group, 0.3, 0.8)
    axes = figure.add_subplot(lines, COLUMNS, 1)
    _lay(axes, image, query, pale)
    axes.set_title("the query, framed,\nand its group", fontsize=FONT)
    for row, column in np.argwhere(group):
        corner = column - 0.5, row - 0.5
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, ec="white", lw=1, zorder=0.5))
    described = []
    for head, weights in enumerate(rows, start=1):
        axes = figure.add_subplot(lines, COLUMNS, 1 + head)
        _lay(axes, image, query, pale, 0.9 * weights / rows.max())
        if max(h, w) <= LEGIBLE:
            _write_percents(axes, weights, group)
        row, column = np.unravel_index(weights.argmax(), (h, w))
        most = f"{weights.max():.0%} at row {row}, column {column}"
        axes.set_title(f"head {head}: largest weight\n{most}", fontsize=FONT)
        described.append(f"head {head}: largest weight {most}")
    start = f"From row {query[0]}, column {query[1]} of {h} x {w} tokens"
    told = "; ".join(described)
    return figure, f"{title}. {start}, in a group of {group.sum()}: {told}."


def _lay(axes, image, query, white, yellow=None):
    """Cover the image with white and yellow, token by token, as strongly as said: (h, w) each."""
    h, w = white.shape
    over_map = {"extent": (-0.5, w - 0.5, h - 0.5, -0.5)}
    axes.imshow(image, **over_map)
    for color, strength in (((1, 1, 1), white), (YELLOW, yellow)):
        if strength is not None:
            layer = np.dstack([np.full((h, w, 3), color), strength])
            axes.imshow(layer, interpolation="nearest", **over_map)
    frame(axes, *query)
    for axis, name in ((axes.xaxis, "column"), (axes.yaxis, "row")):
        axis.set_major_locator(MaxNLocator(LEGIBLE, integer=True))
        axis.set_label_text(name, fontsize=FONT)
    axes.tick_params(labelsize=FONT)


def _write_percents(axes, weights, group):
    halo = [withStroke(linewidth=3, foreground="white")]
    for row, column in np.argwhere(group):
        text = f"{100 * weights[row, column]:.0f}"
        place = {"ha": "center", "va": "center", "fontsize": FONT}
        axes.text(column, row, text, path_effects=halo, **place)
