"""How widely and how far each head of an attention looks, held against a head that does not choose.

A head that looks at all of its group alike looks far on a grid and near in a block, whatever it
has learnt: so a distance says something only beside that of even shares.
"""

from dataclasses import dataclass
from itertools import cycle

import torch
from matplotlib.figure import Figure

from .partitions import DPI

MARKS = "so^Dv"


@dataclass(frozen=True)
class Heads:
    """What was measured of the heads of a layer: means over pictures and queries, (heads,) each.

    `entropy` is in bits, of at most log2(t); `keys` is 2 ** entropy of each query, the number of
    keys that so many bits would share evenly; `distance` from the query in pixels of the picture,
    and `even`, a number, the distance of a head with even shares.
    """

    entropy: torch.Tensor
    keys: torch.Tensor
    distance: torch.Tensor
    even: float


def measure_heads(attention, weights):
    """Measure the heads of an `Attention`, given its `weights()`, or some of them left out."""
    bits = -torch.xlogy(weights, weights).sum(-1) / torch.log(torch.tensor(2.0))
    apart = _distances(attention).to(weights)  # (n, t, t)
    distance = (weights * apart).sum(-1)  # (b, heads, n, t)
    of_heads = (0, 2, 3)
    return Heads(
        bits.mean(of_heads),
        (2**bits).mean(of_heads),
        distance.mean(of_heads),
        apart.mean().item(),
    )


def _distances(attention):
    """How many pixels lie between the middles of the tokens of each group: (n, t, t)."""
    width = attention.size[1]
    places = torch.stack([attention.tokens // width, attention.tokens % width], -1)  # (n, t, 2)
    places = places.double() * attention.stride
    return torch.cdist(places, places)


def draw_heads(layers, title):
    """Draw a dot a head: how many keys it looks at, and how far, each against even shares.

    `layers` is {label: (Heads, t)}, t the tokens of a group. Returns the figure and a sentence.
    """
    figure = Figure(figsize=(6.8, 4.8), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=11)
    axes = figure.subplots()
    told = []
    for mark, (label, (heads, t)) in zip(cycle(MARKS), layers.items(), strict=False):
        across, up = (heads.distance / heads.even).cpu(), (heads.keys / t).cpu()
        axes.plot(across, up, mark, color="0.35", mfc="none", ms=9, label=label)
        for number, place in enumerate(zip(across.tolist(), up.tolist(), strict=True), start=1):
            axes.annotate(number, place, (6, 6), textcoords="offset points", fontsize=9)
        told.append(
            f"{label}: heads 1 to {len(across)} look at {_list(heads.keys)} of {t} keys, "
            f"{_list(heads.distance)} pixels away, where even shares are {heads.even:.1f} away"
        )
    axes.axvline(1, color="0.7", lw=1)
    axes.axhline(1, color="0.7", lw=1)
    axes.set(
        xlabel="mean distance, as a share of that of even shares",
        ylabel="effective keys, as a share of all",
    )
    axes.margins(0.12)
    axes.legend()
    return figure, f"{title}. {'; '.join(told)}."


def _list(numbers):
    return ", ".join(f"{number:.1f}" for number in numbers.tolist())
