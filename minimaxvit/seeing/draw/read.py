"""Images, with the places that one token reads laid over them."""

from math import ceil
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import DPI

FONT = 12  # large enough for a page of 400 pixels
LINE = 66  # characters of a title that fit into one line
COLUMNS = 2
CAPTION = "(bluer: more, by square root)"
BLUE = 0.0, 0.2, 0.6
PALE = 0.65  # how much white is mixed in, so that blue stands out even on black
STRONGEST = 0.85  # of the blue, so that the image shows through


def draw_read(panels, title):
    """Draw one image per panel, gray and pale, and blue where it is read, on one shared scale.

    A panel is (label, image, weights): a text, uint8 (rows, columns, 3), and an array (h, w) of
    numbers that are not negative, which covers the image. Blue goes by the square root, or wide
    weights would look blank beside narrow ones. Returns the figure and its alt text.
    """
    panels = [(label, image, np.asarray(weights)) for label, image, weights in panels]
    most = max(weights.max() for _, _, weights in panels)
    rows = ceil(len(panels) / COLUMNS)
    figure = Figure(figsize=(7, 0.7 + 3.9 * rows), dpi=DPI, layout="constrained")
    figure.suptitle(f"{fill(title, LINE)}\n{CAPTION}", fontsize=FONT)
    described = []
    for place, (label, image, weights) in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, COLUMNS, place)
        _lay(axes, image, STRONGEST * np.sqrt(weights / most))
        half = f"half of it on {_half(weights)} of {weights.size} places"
        axes.set_title(f"{label}\n{half}", fontsize=FONT)
        row, column = np.unravel_index(weights.argmax(), weights.shape)
        described.append(f"{label}: {half}, most at row {row}, column {column}")
    return figure, f"{title}. {'; '.join(described)}."


def _lay(axes, image, blue):
    """Cover the image with blue, place by place, as strongly as said: (h, w)."""
    h, w = blue.shape
    over_map = {"extent": (-0.5, w - 0.5, h - 0.5, -0.5)}
    gray = image.mean(2) / 255
    axes.imshow(gray + PALE * (1 - gray), cmap="gray", vmin=0, vmax=1, **over_map)
    layer = np.dstack([np.full((h, w, 3), BLUE), blue])
    axes.imshow(layer, interpolation="nearest", **over_map)
    for axis, name in ((axes.xaxis, "column"), (axes.yaxis, "row")):
        axis.set_major_locator(MaxNLocator(6, integer=True))
        axis.set_label_text(name, fontsize=FONT)
    axes.tick_params(labelsize=FONT)


def _half(weights):
    """The number of places, the largest first, that together hold half of the weight."""
    held = np.sort(weights, axis=None)[::-1].cumsum()
    return int((held < held[-1] / 2).sum()) + 1
