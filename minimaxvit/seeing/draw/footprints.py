"""Footprints: the input tokens that one output token depends on."""

from math import ceil
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import DPI, frame

FONT = 12  # large enough for a page of 400 pixels
LINE = 66  # characters of a title that fit into one line


def draw_footprints(panels, title):
    """Draw which tokens are seen, one map per panel; the query is framed, the unseen hatched.

    A panel is (label, query, sizes): a text, (row, column) and a tensor (h, w) as `footprint`
    returns it, 0 where nothing is seen. Returns the figure and its alt text.
    """
    rows = ceil(len(panels) / 2)
    figure = Figure(figsize=(7, 0.7 + 4 * rows), dpi=DPI, layout="constrained")
    counts = [(label, int((sizes > 0).sum()), sizes.numel()) for label, _, sizes in panels]
    caption = "(framed: the query; hatched: not seen)"
    figure.suptitle(f"{fill(title, LINE)}\n{caption}", fontsize=FONT)
    for place, (label, query, sizes) in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, 2, place)
        axes.patch.set(hatch="////", facecolor="white", edgecolor="gray")  # shows where none is
        seen = np.asarray(sizes) > 0
        axes.imshow(np.ma.masked_equal(seen, 0), cmap="cividis", vmin=0, vmax=2)
        frame(axes, *query)
        axes.set_title(f"{label}\n{seen.sum()} of {seen.size} tokens", fontsize=FONT)
        axes.set_xlabel("column", fontsize=FONT)
        axes.set_ylabel("row", fontsize=FONT)
        axes.tick_params(labelsize=FONT)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    described = "; ".join(f"{label}: {seen} of {tokens}" for label, seen, tokens in counts)
    return figure, f"{title}. Tokens seen: {described}."
