"""The receptive field of a whole network: which pixels a token can hear of, and by how many paths.

A skeleton of the network does to places what the network does, and nothing else: one channel, every
weight 1. A sum of positive numbers cannot cancel, so the derivative of a token by a pixel counts
the paths between them, and is 0 only where there is none.
"""

from difflib import get_close_matches
from functools import singledispatch
from math import ceil, log2

import torch
import torch.nn.functional as F

from ..block import GroupAttention
from ..compact import FullStem, PooledConvs
from ..mbconv import Conv3x3, Downsample, MBConv
from ..network import Stem

PIXELS = "pixels"


def layers(model):
    """Name what a picture goes through, in order: {"stem": Stem, "1.1 MBConv": MBConv, ...}.

    The numbers are those of stage and block, from 1; a part that a block has twice is "..., again".
    """
    named = {"stem": model.stem}
    for stage, blocks in enumerate(model.stages, start=1):
        for block, parts in enumerate(blocks, start=1):
            for part in parts.parts:
                name = f"{stage}.{block} {type(part).__name__}"
                while name in named:
                    name += ", again"
                named[name] = part
    return named


@torch.enable_grad()
def trace(model, h, w, layer, query, excite=True):
    """Count the paths from each pixel, and from each token on the way, to one token of a layer.

    `layer` is one of `layers(model)`, `query` the (row, column) of a token on its map. Without
    `excite`, squeeze-excitation, which hears the mean of a whole map, is left out. A residual
    counts as a path of its own; what acts on each token alone counts as none.
    Returns {"pixels": (h, w), "stem": (h', w'), ..., layer: (h'', w'')}, float64, exact to 2 ** 53;
    0 means that nothing leads there. Raises ValueError for a size that does not fit, a layer that
    is not there and a query outside its map.
    """
    model.check_size(h, w)
    named = layers(model)
    refuse_unknown(layer, named)
    maps = {PIXELS: torch.ones(1, 1, h, w, dtype=torch.float64, requires_grad=True)}
    for name, part in named.items():
        maps[name] = add_up(part, maps[next(reversed(maps))], excite)
        if name == layer:
            break
    down, across = maps[layer].shape[2:]
    refuse_outside(query, down, across, layer)
    counts = torch.autograd.grad(maps[layer][0, 0, *query], list(maps.values()))
    return {name: count[0, 0] for name, count in zip(maps, counts, strict=True)}


def refuse_unknown(layer, named):
    """Raise ValueError, naming the nearest, for a layer that is not there."""
    if layer not in named:
        near = get_close_matches(layer, named, n=1, cutoff=0) or list(named)
        raise ValueError(f"the network has no layer {layer!r}; did you mean {near[0]!r}?")


def refuse_outside(query, h, w, layer):
    """Raise ValueError for a query, (row, column), that is not on the layer's map of h by w."""
    row, column = query
    if not (0 <= row < h and 0 <= column < w):
        raise ValueError(
            f"query {tuple(query)} is outside the map of {layer!r}, which has {h} x {w} tokens: "
            f"row 0 to {h - 1}, column 0 to {w - 1}"
        )


@singledispatch
def add_up(part, x, excite):
    """Add up whatever `part` lets meet in a token. Shapes: (1, 1, h, w) -> (1, 1, h', w').

    `register` says it for a class of one's own; TypeError for a class of which nobody said it.
    """
    raise TypeError(f"nobody has said what meets in a token of {type(part).__name__}: see `add_up`")


@add_up.register
def _(part: Conv3x3, x, excite):
    return of_one_channel(part, torch.ones(3, 3))(x)


@add_up.register
def _(part: Downsample, x, excite):
    return pooled(x, part.stride)


@add_up.register
def _(part: Stem, x, excite):
    return add_up(part.conv2, add_up(part.conv1, x, excite), excite)


@add_up.register
def _(part: FullStem, x, excite):
    return add_up(part.conv1, x, excite)


@add_up.register
def _(part: MBConv, x, excite):
    y = add_up(part.depthwise, x, excite)
    if excite:
        y = y + y.sum()  # each channel is weighed by what the whole map holds
    return add_up(part.shortcut, x, excite) + y


@add_up.register
def _(part: PooledConvs, x, excite):
    # Which of four is the strongest depends on the picture; each may be.
    return add_up(part.conv2, pooled(add_up(part.conv1, x, excite), part.stride), excite)


@add_up.register
def _(part: GroupAttention, x, excite):
    groups = part.partition(x.permute(0, 2, 3, 1), part.window)  # (1, n, t, 1)
    met = groups.sum(2, keepdim=True).expand_as(groups)
    return x + part.reverse(met, part.window, *x.shape[2:]).permute(0, 3, 1, 2)


def of_one_channel(part, kernel):
    """Build a convolution that strides and pads as `part` does, with this kernel (3, 3)."""
    with torch.device("meta"):  # draws no chance
        conv = Conv3x3(1, 1, part.stride[0], bias=False)
    conv = conv.to_empty(device="cpu").double().requires_grad_(False)
    conv.weight.copy_(kernel)
    return conv


def pixels_apart(picture, size):
    """How many pixels neighbouring tokens are apart, given the (h, w) of picture and map.

    Each halving rounds odd sides up, so it is the power of two at or above their ratio.
    """
    pixels, tokens = max(zip(picture, size, strict=True), key=lambda axis: axis[1])
    return 2 ** max(0, ceil(log2(pixels / tokens)))


def pooled(x, stride):
    return F.avg_pool2d(x, stride, ceil_mode=True, divisor_override=1) if stride > 1 else x
