"""How far a field of shares reaches, in measures that do not depend on its scale.

No logarithm: it would flatter the rim, and make the picture depend on how large a gradient is.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from .partitions import DPI

SHARES = (0.2, 0.3, 0.5, 0.99)
DRAWN = (0.5, 0.99)  # of these the square is drawn
WHITE_EDGE = withStroke(linewidth=3, foreground="white")


@dataclass(frozen=True)
class Extent:
    """How far the mass of a field reaches; one number for each of `shares`.

    `sides` of the smallest square around the centre that holds the share, in pixels; `pixels` of
    the smallest set of any shape that does, for a lattice is no square; and `participation`, one
    number: of how many pixels that all matter alike the field is worth.
    """

    shares: tuple
    sides: tuple
    pixels: tuple
    participation: float


def middle(query, stride):
    """Say where the middle of a token's own pixels is, (row, column), which may lie between two."""
    return tuple((place + 0.5) * stride - 0.5 for place in query)


def extent(field, centre, shares=SHARES):
    """Measure a field (h, w) of any scale around `centre`, a (row, column) as `middle` gives it.

    ValueError for a field with no mass, or a negative one.
    """
    field = field.double()
    if field.min() < 0 or not field.sum() > 0:
        raise ValueError("a field must have some mass, and none below zero")
    mass = (field / field.sum()).flatten()
    rows, columns = (torch.arange(side) for side in field.shape)
    off = torch.maximum(
        (rows - centre[0]).abs()[:, None], (columns - centre[1]).abs()[None]
    ).flatten()  # how far from the centre, the longer way
    near, order = off.sort()
    sides = 2 * near[_first(mass[order].cumsum(0), shares)] + 1
    pixels = _first(mass.sort(descending=True).values.cumsum(0), shares) + 1
    return Extent(
        tuple(shares),
        tuple(round(side) for side in sides.tolist()),
        tuple(pixels.tolist()),
        (1 / mass.square().sum()).item(),
    )


def _first(cumulative, shares):
    """Say at which place each share is reached; what rounding leaves short counts as the last."""
    wanted = torch.tensor(shares, dtype=cumulative.dtype) - 1e-12
    return torch.searchsorted(cumulative, wanted).clamp(max=len(cumulative) - 1)


def draw_fields(panels, title, columns=3):
    """Draw fields, a panel each, from white for none to black for the largest share of all.

    A panel is (label, field, centre), the field (h, w) and its centre as for `extent`. The squares
    that hold 50 % and 99 % are framed. Returns the figure and a sentence with its numbers.
    """
    rows = ceil(len(panels) / columns)
    figure = Figure(figsize=(3.3 * columns, 0.6 + 3.7 * rows), dpi=DPI, layout="constrained")
    caption = "one scale; +: the token; solid: the square that holds 50 %, dashed: 99 %"
    figure.suptitle(f"{title}\n({caption})", fontsize=11)
    darkest, told = max(np.asarray(field).max() for _, field, _ in panels), []
    for place, (label, field, centre) in enumerate(panels, start=1):
        found = extent(torch.as_tensor(field), centre, DRAWN)
        axes = figure.add_subplot(rows, columns, place)
        axes.imshow(np.asarray(field), cmap="Greys", vmin=0, vmax=darkest)
        axes.plot(*centre[::-1], "k+", path_effects=[WHITE_EDGE])
        for side, dashes in zip(found.sides, ("-", "--"), strict=True):
            _frame_square(axes, centre, side, dashes)
        half, most = found.sides
        axes.set_title(f"{label}\n50 % within {half} x {half} pixels", fontsize=10)
        axes.set(xticks=[], yticks=[])
        told.append(
            f"{label}: half of it within {half} x {half} pixels, 99 % within {most} x {most}; the "
            f"smallest set with half of it has {found.pixels[0]} pixels; it is worth "
            f"{found.participation:.0f} of {field.numel()} pixels"
        )
    return figure, f"{title}. {'. '.join(told)}."


def _frame_square(axes, centre, side, dashes):
    corner = centre[1] - side / 2, centre[0] - side / 2
    square = Rectangle(corner, side, side, fill=False, lw=1.5, ls=dashes, path_effects=[WHITE_EDGE])
    axes.add_patch(square)
    h, w = axes.images[0].get_array().shape
    axes.set(xlim=(-0.5, w - 0.5), ylim=(h - 0.5, -0.5))
