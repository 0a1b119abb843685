"""What each head attends to from one token, drawn over the image."""

from math import ceil

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from .style import DPI, frame

YELLOW = 1.0, 0.85, 0.0


def draw_overlay(image, rows, query, title):
    """Draw an image, and over it what each head attends to from one token, on one scale.

    `image` is uint8 (rows, columns, 3), of any size, which the map covers; `rows` (heads, h, w) are
    attention weights, as `Attention.row` returns them for one image: exactly 0 outside the group,
    where the image is pale. The larger a weight, the more yellow the token, in which it is written
    in percent; `query`, a (row, column), is framed. Returns the figure and its alt text.
    """
    rows = torch.as_tensor(rows).cpu().numpy()
    heads, h, w = rows.shape
    lines = ceil((heads + 1) / 2)
    figure = Figure(figsize=(5.8, 0.4 + 3.1 * lines), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=12)
    first, *panels = [figure.add_subplot(lines, 2, 1 + place) for place in range(heads + 1)]
    group = (rows > 0).any(0)
    pale = np.where(group, 0.3, 0.8)
    _lay(first, image, query, pale)
    first.set_title("the query and its group", fontsize=11)
    for row, column in np.argwhere(group):
        corner = column - 0.5, row - 0.5
        first.add_patch(Rectangle(corner, 1, 1, fill=False, ec="white", lw=1, zorder=0.5))
    described = []
    for head, (axes, weights) in enumerate(zip(panels, rows, strict=True), start=1):
        _lay(axes, image, query, pale, 0.9 * weights / rows.max())
        _write(axes, weights, group)
        row, column = np.unravel_index(weights.argmax(), (h, w))
        most = f"{weights.max():.0%} at row {row}, column {column}"
        axes.set_title(f"head {head}", fontsize=11)
        described.append(f"head {head}: most, {most}")
    return figure, (
        f"{title}. The query is at row {query[0]}, column {query[1]} of {h} x {w} tokens, in a "
        f"group of {group.sum()}; {'; '.join(described)}."
    )


def _lay(axes, image, query, white, yellow=None):
    h, w = white.shape
    over_map = {"extent": (-0.5, w - 0.5, h - 0.5, -0.5)}
    axes.imshow(image, **over_map)
    for color, strength in (((1, 1, 1), white), (YELLOW, yellow)):
        if strength is not None:
            axes.imshow(
                np.dstack([np.full((h, w, 3), color), strength]),
                interpolation="nearest",
                **over_map,
            )
    frame(axes, *query)
    axes.set(xticks=[], yticks=[])


def _write(axes, weights, group):
    halo = [withStroke(linewidth=3, foreground="white")]
    for row, column in np.argwhere(group):
        text = f"{100 * weights[row, column]:.0f}"
        place = {"ha": "center", "va": "center", "fontsize": 10}
        axes.text(column, row, text, path_effects=halo, **place)
