"""What a token can depend on, beside how much it does: gradients on a logarithmic scale."""

from textwrap import fill

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from .style import DPI, frame

FONT = 12  # large enough for a page of 400 pixels
LINE = 66  # characters of a title that fit into one line
DECADES = 5  # from the largest gradient down to the lightest shade


def draw_gradients(panels, title):
    """Draw two maps per panel: what its query reaches, and the size of each token's gradient.

    A panel is (label, query, reached, sizes): a text, (row, column), a bool tensor (h, w) as
    `reach` returns it, and a tensor (h, w) as `footprint` does. Sizes are drawn as powers of ten of
    each panel's largest, on one scale for all panels. Returns the figure and its alt text, which
    says the median size of the tokens that are reached, besides the query.
    """
    figure = Figure(figsize=(7, 0.9 + 3.5 * len(panels)), dpi=DPI, layout="constrained")
    figure.suptitle(fill(title, LINE), fontsize=FONT)
    described, rows = [], figure.subplots(len(panels), 2, squeeze=False)
    for (label, query, reached, sizes), (left, right) in zip(panels, rows, strict=True):
        reached, sizes = np.asarray(reached), np.asarray(sizes)
        relative = np.ma.masked_equal(sizes / sizes.max(), 0)
        others = reached.copy()
        others[query] = False
        typical = np.median((sizes / sizes.max())[others])
        for axes in (left, right):
            axes.patch.set(hatch="////", facecolor="white", edgecolor="gray")  # where nothing is
            axes.set(xticks=[], yticks=[])
        left.imshow(np.ma.masked_equal(reached, False), cmap="cividis", vmin=0, vmax=2)
        norm = LogNorm(10.0**-DECADES, 1, clip=True)
        image = right.imshow(relative, cmap="cividis", norm=norm)
        frame(left, *query)
        frame(right, *query)
        left.set_title(f"{label}\nreaches {reached.sum()} of {reached.size}", fontsize=FONT)
        right.set_title(f"size of the gradient\nmedian {typical:.0e} of the largest", fontsize=FONT)
        described.append(
            f"{label}: {reached.sum()} of {reached.size} tokens reached, "
            f"with a median gradient of {typical:.0e} of the largest"
        )
    bar = figure.colorbar(image, ax=rows, location="bottom", shrink=0.6, aspect=40)
    bar.set_label("gradient, relative to the largest of the panel", fontsize=FONT)
    return figure, f"{title}. {'; '.join(described)}."
