"""What a token can depend on, beside how much it does: gradients on a logarithmic scale."""

from textwrap import fill

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from .style import DPI, frame

FONT = 12  # large enough for a page of 400 pixels
LINE = 62  # characters of a title that fit into one line
DECADES = 5  # from the largest gradient down to the darkest shade


def draw_gradients(panels, title):
    """Draw a row of two maps per panel: what its query reaches, and how large each gradient is.

    A panel is (label, query, reached, sizes): a text, (row, column), a bool tensor (h, w) as
    `reach` returns it, and a tensor (h, w) as `footprint` does. Sizes are divided by the panel's
    largest and drawn on one logarithmic scale. Returns the figure and its alt text.
    """
    figure = Figure(figsize=(7, 1.1 + 3.1 * len(panels)), dpi=DPI, layout="constrained")
    caption = "(framed: the query; hatched: not reached)"
    figure.suptitle(f"{fill(title, LINE)}\n{caption}", fontsize=FONT)
    described, rows = [], figure.subplots(len(panels), 2, squeeze=False)
    scale = {"cmap": "cividis", "norm": LogNorm(10.0**-DECADES, 1, clip=True)}
    for (label, query, reached, sizes), (left, right) in zip(panels, rows, strict=True):
        reached, sizes = np.asarray(reached), np.asarray(sizes) / np.max(np.asarray(sizes))
        typical = _typical(reached, sizes, query)
        left.imshow(np.ma.masked_equal(reached, False), cmap="cividis", vmin=0, vmax=2)
        image = right.imshow(np.ma.masked_equal(sizes, 0), **scale)
        for axes in (left, right):
            axes.patch.set(hatch="////", facecolor="white", edgecolor="gray")  # shows where none is
            axes.set(xticks=[], yticks=[])
            frame(axes, *query)
        left.set_title(f"{label}\n{reached.sum()} of {reached.size} tokens", fontsize=FONT)
        right.set_title(f"size of the gradient\ntypically {typical}", fontsize=FONT)
        described.append(
            f"{label}: {reached.sum()} of {reached.size} tokens, with gradients of {typical} of "
            "the largest in the median"
        )
    bar = figure.colorbar(image, ax=rows, location="bottom", shrink=0.6, aspect=40, pad=0.01)
    bar.set_label("gradient / largest gradient of the panel (log scale)", fontsize=FONT)
    return figure, f"{title}. Reached: {'; '.join(described)}."


def _typical(reached, sizes, query):
    """The median size of the tokens that are reached, but for the query: "1 / 340"."""
    others = reached.copy()
    others[query] = False
    return f"1/{1 / np.median(sizes[others]):,.0f}"
