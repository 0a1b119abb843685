"""The receptive field of a whole network: which pixels a token depends on, and by how many paths.

Paths are counted, not estimated: each read of the network's steps hands the count of a query on to
all of its keys. Counts are positive and cannot cancel, so 0 means that no path leads there.
"""

from difflib import get_close_matches
from math import ceil, log2

import torch

from ...modes import unwrapped
from .reads import lower_network, places_after
from .walking import Rule, walk_part

PIXELS = "pixels"


class CountPaths(Rule):
    """Count what can be read; gates read the whole map, unless they are held constant."""

    def __init__(self, gates):
        self.gates = gates

    def gate(self, values, places):
        if not self.gates:
            return values
        tokens, extra = values.split([places.h * places.w, places.extra], -1)
        return torch.cat([tokens + tokens.sum(-1, keepdim=True), extra], -1)


def trace(model, h, w, layer, query, gates=True):
    """Count the paths from each pixel, and from each token on the way, to one token of a layer.

    `layer` is one of `model.layers()`; `query` is the (row, column) of a token on its map, or the
    number of a place, h' * w' for the first extra token. Without `gates`, squeeze-excitation, which
    depends on the mean of a whole map, is held constant. A shortcut counts as a path of its own;
    what acts on each token alone counts as none.
    Returns {"pixels": (h, w), "stem": (h', w'), ..., layer: (h'', w'')}, float64, exact to 2 ** 53.
    Raises ValueError for a size that does not fit, an unknown layer and a query outside its map.
    """
    model = unwrapped(model)
    refuse_unknown(layer, model.layers())
    lowered = lower_network(model, h, w, until=layer)
    places = places_after(lowered[layer])
    counts = torch.zeros(places.count, dtype=torch.float64)
    counts[place_of(query, places, layer)] = 1
    maps, rule = {layer: _on_map(counts, places)}, CountPaths(gates)
    names = [PIXELS, *lowered]
    for name, part_reads in zip(names[-2::-1], list(lowered.values())[::-1], strict=True):
        counts = walk_part(part_reads, counts, rule)
        maps[name] = _on_map(counts, part_reads.before)
    return {name: maps[name] for name in names}


def _on_map(values, places):
    return values[..., : places.h * places.w].unflatten(-1, (places.h, places.w))


def place_of(query, places, layer):
    """The number of the place that a query, (row, column) or a number already, stands for.

    ValueError if it is not on the layer's map, nor among its extra tokens.
    """
    if not isinstance(query, tuple | list) and 0 <= query < places.count:
        return int(query)
    h, w = places.h, places.w
    row, column = query if isinstance(query, tuple | list) else divmod(query, w)
    if not (0 <= row < h and 0 <= column < w):
        raise ValueError(
            f"query {tuple(query) if isinstance(query, list) else query} is outside the map of "
            f"{layer!r}, which has {h} x {w} tokens: row 0 to {h - 1}, column 0 to {w - 1}"
            + f", then {places.extra} extra"
            * (places.extra > 0)
        )
    return row * w + column


def refuse_unknown(layer, named):
    """Raise ValueError, naming the nearest, for a layer that is not there."""
    if layer not in named:
        near = get_close_matches(layer, named, n=1, cutoff=0) or list(named)
        raise ValueError(f"the network has no layer {layer!r}; did you mean {near[0]!r}?")


def pixels_apart(image, size):
    """How many pixels neighboring tokens are apart, given the (h, w) of image and map.

    Where each halving rounds odd sides up, it is the power of two at or above their ratio.
    """
    pixels, tokens = max(zip(image, size, strict=True), key=lambda axis: axis[1])
    return 2 ** max(0, ceil(log2(pixels / tokens)))
