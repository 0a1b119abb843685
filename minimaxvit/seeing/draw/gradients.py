"""What a token can depend on, beside how much it does: gradients on a logarithmic scale."""

from math import ceil
from textwrap import fill

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from .style import DPI, frame

FONT = 12  # large enough for a page of 400 pixels
LINE = 62  # characters of a title that fit into one line
DECADES = 5  # from the largest gradient down to the darkest shade


def draw_gradients(query, reached, panels, title):
    """Draw which tokens a query reaches, and the size of their gradients, a map per panel.

    `query` is (row, column), `reached` a bool tensor (h, w) as `reach` returns it, and `panels`
    maps labels to sizes (h, w) as `footprint` returns them. They are divided by the largest of the
    panel and drawn on one logarithmic scale. Returns the figure and its alt text.
    """
    reached, rows = np.asarray(reached), ceil((1 + len(panels)) / 2)
    figure = Figure(figsize=(7, 1.3 + 3.8 * rows), dpi=DPI, layout="constrained")
    caption = "(framed: the query; hatched: not reached)"
    figure.suptitle(f"{fill(title, LINE)}\n{caption}", fontsize=FONT)
    described, scale = [], {"cmap": "cividis", "norm": LogNorm(10.0**-DECADES, 1, clip=True)}
    counted = f"{reached.sum()} of {reached.size} tokens"
    for place, (label, sizes) in enumerate([(None, reached), *panels.items()], start=1):
        axes = figure.add_subplot(rows, 2, place)
        axes.patch.set(hatch="////", facecolor="white", edgecolor="gray")  # shows where none is
        axes.set(xticks=[], yticks=[])
        frame(axes, *query)
        if label is None:
            axes.imshow(np.ma.masked_equal(sizes, False), cmap="cividis", vmin=0, vmax=2)
            axes.set_title(f"what each of them reaches\n{counted}", fontsize=FONT)
            continue
        sizes = np.asarray(sizes) / np.max(np.asarray(sizes))
        image = axes.imshow(np.ma.masked_equal(sizes, 0), **scale)
        typical = _typical(reached, sizes, query)
        axes.set_title(f"{label}\ngradients: typically {typical}", fontsize=FONT)
        described.append(f"{label} {typical}")
    bar = figure.colorbar(image, ax=figure.axes, location="bottom", shrink=0.6, aspect=40, pad=0.01)
    bar.set_label("gradient / largest gradient of the map (log scale)", fontsize=FONT)
    return figure, (
        f"{title}. Each reaches {counted}. Gradients, the median of them in parts of the largest: "
        f"{'; '.join(described)}."
    )


def _typical(reached, sizes, query):
    """The median size of the tokens that are reached, but for the query, in two digits: "1/340"."""
    others = reached.copy()
    others[query] = False
    return f"1/{float(f'{1 / np.median(sizes[others]):.1e}'):,.0f}"
