"""How far a token sees through layers of any kind, one after another, on one map."""

from itertools import cycle

import torch

from .reads import Places, lower_part, places_after
from .receptive_field import CountPaths
from .walking import walk_part


def reach(layers, h, w, gates=True):
    """Say which tokens of a map of h by w reach which through parts: bool (h, w, h', w').

    One row per token after the last of `layers`, and whether it depends on each token before the
    first. Without `gates`, what the whole map decides for all tokens alike is held constant.
    ValueError for a map that does not fit. Source: the steps that each part says.
    """
    reached, places = torch.eye(h * w), Places(h, w)
    for layer in layers:
        _refuse_misfit(layer, places)
        lowered = lower_part(layer, places)
        places = places_after(lowered)
        one = walk_part(lowered, torch.eye(places.count, dtype=torch.float64), CountPaths(gates))
        reached = ((one.float() @ reached) > 0).float()
    return reached.bool().view(places.h, places.w, h, w)


def depth_to_whole(layers, h, w, most=64, gates=False):
    """Count how many layers it takes until every token depends on every other; None beyond `most`.

    `layers` are repeated in turn; they must leave the map as large as it is.
    """
    reached = torch.eye(h * w)
    for depth, layer in zip(range(1, most + 1), cycle(layers)):
        one = reach([layer], h, w, gates).flatten(2).flatten(0, 1).float()
        reached = ((one @ reached) > 0).float()
        if reached.all():
            return depth


def _refuse_misfit(part, places):
    for side in (places.h, places.w):
        if wrong := part.misfit(side):
            raise ValueError(
                f"{type(part).__name__} gets a map of {places.h} x {places.w} tokens, which {wrong}"
            )
