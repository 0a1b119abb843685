"""Attention rollout, taken through partitions, convolutions and pooling down to the pixels.

A heuristic (Abnar and Zuidema 2020), no truth: it follows how much each layer takes from where.
Values, signs, norms and feed-forwards are left out, and heads averaged.
"""

from functools import singledispatch

import torch

from ..block import GroupAttention
from ..compact import FullStem, PooledConvs
from ..mbconv import Conv3x3, Downsample, MBConv
from ..network import Stem
from .evaluating import evaluating, ready
from .field import layers, of_one_channel, pooled, refuse_outside, refuse_unknown
from .recording import record_attention


@torch.enable_grad()
def rollout(model, images, layer=None, query=None):
    """Deal out to the pixels what the head, or one token, takes in: (b, h, w), each sums to 1.

    `images` is uint8 (b, 3, h, w). Without `layer`, one of `layers(model)`, the last; without
    `query`, the mean of all its tokens, as the head takes it. ValueError for what is not there.
    """
    named = layers(model)
    layer = layer or list(named)[-1]
    refuse_unknown(layer, named)
    with evaluating(model), record_attention(model) as maps, torch.no_grad():
        model(ready(model, images))
    # (b, n, t, t) each
    weights = {name: each.weights().double().mean(1).cpu() for name, each in maps.items()}
    shares = torch.ones(len(images), 1, *images.shape[2:], dtype=torch.float64, requires_grad=True)
    x = shares
    for name, part in named.items():
        x = mix(part, x, weights.get(name))
        if name == layer:
            break
    h, w = x.shape[2:]
    if query is not None:
        refuse_outside(query, h, w, layer)
    taken = x.mean((2, 3)) if query is None else x[:, :, *query]
    # Each layer is linear in x, so this derivative is the product of all of them.
    return torch.autograd.grad(taken.sum(), shares)[0][:, 0]


@singledispatch
def mix(part, x, weights):
    """Replace each token by a mean of those it takes from: (b, 1, h, w) -> (b, 1, h', w').

    `weights` (b, n, t, t) are those of an attention. `register` says it for a class of one's own;
    TypeError for a class of which nobody said it.
    """
    raise TypeError(f"nobody has said what a token of {type(part).__name__} takes from: see `mix`")


@mix.register
def _(part: Conv3x3, x, weights):
    conv = of_one_channel(part, tap_shares(part))
    return conv(x) / conv(torch.ones_like(x))  # at a border fewer share the whole


def tap_shares(conv):
    """How much each tap of a kernel takes, by its size: (3, 3), sums to 1; even if all are 0."""
    sizes = conv.weight.detach().double().abs().mean((0, 1)).cpu()
    return sizes / sizes.sum() if sizes.sum() > 0 else torch.full((3, 3), 1 / 9).double()


@mix.register
def _(part: Downsample, x, weights):
    return _mean(x, part.stride)


@mix.register
def _(part: Stem, x, weights):
    return mix(part.conv2, mix(part.conv1, x, weights), weights)


@mix.register
def _(part: FullStem, x, weights):
    return mix(part.conv1, x, weights)


@mix.register
def _(part: MBConv, x, weights):
    return (mix(part.shortcut, x, weights) + mix(part.depthwise, x, weights)) / 2


@mix.register
def _(part: PooledConvs, x, weights):
    y = _mean(mix(part.conv1, x, weights), part.stride)  # any of four may be the strongest
    return mix(part.conv2, y, weights)


@mix.register
def _(part: GroupAttention, x, weights):
    groups = part.partition(x.permute(0, 2, 3, 1), part.window)  # (b, n, t, 1)
    taken = part.reverse(weights @ groups, part.window, *x.shape[2:]).permute(0, 3, 1, 2)
    return (x + taken) / 2  # the shortcut takes one half


def _mean(x, stride):
    return pooled(x, stride) / pooled(torch.ones_like(x), stride)
