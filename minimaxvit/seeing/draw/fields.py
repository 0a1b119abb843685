"""Fields of influence on the pixels, with the squares that hold a half and nearly all of each."""

from math import ceil
from textwrap import fill

import numpy as np
import torch
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MultipleLocator

from ..measure.extent import extent
from .style import DPI

FONT = 12  # large enough for a page of 400 pixels
LINE = 66  # characters of a title that fit into one line
COLUMNS = 2
CAPTION = "(darker: more, by square root; +: token; 50% solid, 99% dashed)"
DRAWN = (0.5, 0.99)  # fractions whose square is drawn
WHITE_EDGE = withStroke(linewidth=3, foreground="white")


def draw_fields(panels, title):
    """Draw fields, one per panel, from white for 0 to black for the largest value of all.

    Gray goes by the square root, or wide fields would look blank beside narrow ones. A panel is
    (label, field, center), the field (h, w) and its center as for `extent`. The squares that hold
    50% and 99% are framed. Returns the figure and its alt text.
    """
    rows = ceil(len(panels) / COLUMNS)
    figure = Figure(figsize=(7, 1 + 3.9 * rows), dpi=DPI, layout="constrained")
    figure.suptitle(f"{fill(title, LINE)}\n{fill(CAPTION, LINE)}", fontsize=FONT)
    darkest, described = max(np.asarray(field).max() for _, field, _ in panels), []
    for place, (label, field, center) in enumerate(panels, start=1):
        found = extent(torch.as_tensor(field), center, DRAWN)
        axes = figure.add_subplot(rows, COLUMNS, place)
        axes.imshow(np.asarray(field), cmap="Greys", norm=PowerNorm(0.5, 0, darkest))
        axes.plot(*center[::-1], "k+", path_effects=[WHITE_EDGE])
        for side, dashes in zip(found.sides, ("-", "--"), strict=True):
            _frame_square(axes, center, side, dashes)
        half, most = found.sides
        axes.set_title(f"{label}\n50% within {half} x {half} pixels", fontsize=FONT)
        _number_pixels(axes)
        described.append(
            f"{label}: half of it within {half} x {half} pixels, 99% within {most} x {most}; the "
            f"smallest set with half of it has {found.pixels[0]} pixels; it is worth "
            f"{found.participation:.0f} of {field.numel()} pixels"
        )
    return figure, f"{title}. {'. '.join(described)}."


def _frame_square(axes, center, side, dashes):
    corner = center[1] - side / 2, center[0] - side / 2
    square = Rectangle(corner, side, side, fill=False, lw=1.5, ls=dashes, path_effects=[WHITE_EDGE])
    axes.add_patch(square)
    h, w = axes.images[0].get_array().shape
    axes.set(xlim=(-0.5, w - 0.5), ylim=(h - 0.5, -0.5))


def _number_pixels(axes):
    side = max(axes.images[0].get_array().shape)
    for axis, name in ((axes.xaxis, "column"), (axes.yaxis, "row")):
        axis.set_major_locator(MultipleLocator(max(1, side // 4)))
        axis.set_label_text(f"{name} (pixels)", fontsize=FONT)
    axes.tick_params(labelsize=FONT)
