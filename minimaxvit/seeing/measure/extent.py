"""How far a field of fractions reaches, in measures that do not depend on its scale.

No logarithm: it would favor the rim, and the result would depend on how large a gradient is.
"""

from dataclasses import dataclass

import torch

FRACTIONS = (0.2, 0.3, 0.5, 0.99)


@dataclass(frozen=True)
class Extent:
    """How far the mass of a field reaches; one number for each of `fractions`.

    `sides`, in pixels, of the smallest square around the center that holds the fraction; `pixels`
    of the smallest set of any shape that does, for a lattice is no square; and `participation`, one
    number: the number of equally important pixels that the field is worth.
    """

    fractions: tuple
    sides: tuple
    pixels: tuple
    participation: float


def middle(query, stride):
    """Say where the middle of a token's own pixels is, (row, column), which may lie between two."""
    return tuple((place + 0.5) * stride - 0.5 for place in query)


def extent(field, center, fractions=FRACTIONS):
    """Measure a field (h, w) of any scale around `center`, a (row, column) as `middle` gives it.

    ValueError for a field with no mass, or a negative one.
    """
    field = field.double()
    if field.min() < 0 or not field.sum() > 0:
        raise ValueError("a field must have some mass, and none below zero")
    mass = (field / field.sum()).flatten()
    rows, columns = (torch.arange(side) for side in field.shape)
    off = torch.maximum(
        (rows - center[0]).abs()[:, None], (columns - center[1]).abs()[None]
    ).flatten()  # how far from the center, on the axis on which it is farther
    near, order = off.sort()
    sides = 2 * near[_first(mass[order].cumsum(0), fractions)] + 1
    pixels = _first(mass.sort(descending=True).values.cumsum(0), fractions) + 1
    return Extent(
        tuple(fractions),
        tuple(round(side) for side in sides.tolist()),
        tuple(pixels.tolist()),
        (1 / mass.square().sum()).item(),
    )


def _first(cumulative, fractions):
    """Say where each fraction is reached; what rounding leaves short counts as the last."""
    wanted = torch.tensor(fractions, dtype=cumulative.dtype) - 1e-12
    return torch.searchsorted(cumulative, wanted).clamp(max=len(cumulative) - 1)
