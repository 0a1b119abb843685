"""Footprints: the input tokens that one output token depends on."""

from math import ceil

import numpy as np
from matplotlib.figure import Figure

from .style import DPI, frame


def draw_footprints(panels, title):
    """Draw which tokens are seen, one map per panel; the query is framed, the unseen hatched.

    A panel is (label, query, sizes): a text, (row, column) and a tensor (h, w) as `footprint`
    returns it, 0 where nothing is seen. Returns the figure and its alt text.
    """
    rows = ceil(len(panels) / 2)
    figure = Figure(figsize=(9.2, 4.8 * rows), dpi=DPI, layout="constrained")
    counts = [(label, int((sizes > 0).sum()), sizes.numel()) for label, _, sizes in panels]
    figure.suptitle(f"{title} (framed: the query; hatched: not seen)")
    for place, (label, query, sizes) in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, 2, place)
        axes.patch.set(hatch="////", facecolor="white", edgecolor="gray")  # shows where none is
        seen = np.asarray(sizes) > 0
        axes.imshow(np.ma.masked_equal(seen, 0), cmap="cividis", vmin=0, vmax=2)
        frame(axes, *query)
        axes.set_title(f"{label}\n{seen.sum()} of {seen.size} tokens", fontsize=11)
        axes.set(xlabel="column", ylabel="row")
    described = "; ".join(f"{label}: {seen} of {tokens}" for label, seen, tokens in counts)
    return figure, f"{title}. Tokens seen: {described}."
