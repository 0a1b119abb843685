"""How widely and how far each head looks, compared with a head with uniform attention weights.

A head that attends to all of its group equally looks far on a grid and near in a block, whatever it
has learned: so a distance means something only beside that of uniform weights.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Heads:
    """What was measured of the heads of a layer: means over images and queries, (heads,) each.

    `entropy` is in bits, of at most log2(s); `keys` is 2 ** entropy of each query, the number of
    keys that uniform weights of that entropy would have; `distance` is from the query, in pixels of
    the image, and `even`, a number, is the distance with uniform weights.
    """

    entropy: torch.Tensor
    keys: torch.Tensor
    distance: torch.Tensor
    even: float


def measure_heads(attention, weights):
    """Measure the heads of an `Attention`, given its `weights()`, or some with a term left out.

    Extra tokens lie nowhere, so distances are those of tokens of the map alone; NaN if there are
    none.
    """
    bits = -torch.xlogy(weights, weights).sum(-1) / torch.log(torch.tensor(2.0))
    apart, there = _distances(attention)  # (n, t, s) each
    apart, there = apart.to(weights), there.to(weights)
    on_map = there.any(-1)  # (n, t)
    even = (apart * there).sum(-1)[on_map] / there.sum(-1)[on_map]
    total = (weights * there).sum(-1).clamp(min=torch.finfo(weights.dtype).tiny)
    distance = ((weights * there * apart).sum(-1) / total)[..., on_map]  # (b, heads, queries)
    return Heads(
        bits.mean((0, 2, 3)),
        (2**bits).mean((0, 2, 3)),
        distance.mean((0, 2)),
        even.mean().item(),
    )


def _distances(attention):
    """How many pixels lie between the middles of each query and key, both (n, t, s).

    Returns distances, and which of the pairs are two tokens of a map.
    """
    places, key_places = attention.places, attention.key_places
    queries, on_queries = _middles(attention.queries, places)
    keys, on_keys = _middles(attention.keys, key_places)
    return torch.cdist(queries, keys), on_queries[:, :, None] & on_keys[:, None]


def _middles(numbers, places):
    row, column = numbers // places.w, numbers % places.w
    middles = (torch.stack([row, column], -1).double() + 0.5) * places.stride  # (n, t, 2)
    return middles, (numbers >= 0) & (numbers < places.h * places.w)
