"""How far a token sees through layers of any kind, one after another, on one map."""

from itertools import cycle, islice

import torch

from .reads import Places, lower_part, places_after
from .receptive_field import CountPaths
from .walking import walk_part


def reach(layers, h, w, gates=True):
    """Say which tokens of a map of h by w reach which through parts: bool (h, w, h', w').

    One row per token after the last of `layers`, and whether it depends on each token before the
    first. Tokens beside the map that a layer begins lead on, but have no row. Without `gates`,
    what the whole map decides for all tokens alike is held constant.
    ValueError for a map that does not fit. Source: the steps that each part says.
    """
    itself = torch.eye(h * w).bool().view(h, w, h, w)
    return [itself, *_grow(layers, h, w, gates)][-1]


def depth_to_whole(layers, h, w, most=64, gates=False):
    """Count how many layers it takes until every token depends on every other; None beyond `most`.

    `layers` are repeated in turn; they must leave the map as large as it is.
    """
    in_turn = islice(cycle(layers), most)
    for depth, reached in enumerate(_grow(in_turn, h, w, gates), start=1):
        if reached.all():
            return depth


def _grow(layers, h, w, gates):
    """Yield what the tokens of the map reach after each layer: bool (h, w, h', w')."""
    reached, places = torch.eye(h * w), Places(h, w)
    for layer in layers:
        _refuse_misfit(layer, places)
        lowered = lower_part(layer, places)
        places = places_after(lowered)
        one = walk_part(lowered, torch.eye(places.count, dtype=torch.float64), CountPaths(gates))
        reached = ((one.float() @ reached) > 0).float()
        on_map = reached[: places.h * places.w]
        yield on_map.bool().view(places.h, places.w, h, w)


def _refuse_misfit(part, places):
    for side in (places.h, places.w):
        if wrong := part.misfit(side):
            raise ValueError(
                f"{type(part).__name__} gets a map of {places.h} x {places.w} tokens, which {wrong}"
            )
