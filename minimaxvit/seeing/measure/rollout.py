"""Attention rollout, taken through partitions, convolutions and pooling down to the pixels.

A heuristic (Abnar and Zuidema 2020), not the truth: it follows how much each layer takes from
where. Values, signs, norms and feed-forwards are left out, and heads averaged.
"""

import torch

from ...modes import unwrapped
from .reads import covered, lower_network, lower_part, places_after
from .receptive_field import place_of, refuse_unknown
from .recording import attention_maps
from .walking import Rule, walk_part


class TakeMeans(Rule):
    """Each query takes a mean of its keys, and a sum a mean of its branches; gates are left out.

    `weights` (b, n, t, s) are those of the one attention of the part that is walked, None if
    nobody recorded them: then all keys count equally.
    """

    def __init__(self, weights=None):
        self.weights = weights

    def amounts(self, read):
        if read.attends and self.weights is not None:
            return self.weights
        return key_fractions(read)

    def split(self, values, branches, places):
        counts = torch.stack([covered(branch, places) for branch in branches]).sum(0)
        return [values / counts.clamp(min=1)] * len(branches)  # those that read anything


def rollout(model, images, layer=None, query=None):
    """Divide what the head, or one token, takes in among the pixels: (b, h, w), each sums to 1.

    `images` is uint8 (b, 3, h, w). `layer` is one of `model.layers()`, the last if None; without
    `query`, (row, column) or the number of a place, it is the mean of all its tokens, or with no
    layer either what the head takes. What began in no pixel, such as a class token, is left out and
    the rest shares the whole. ValueError for what is not there, or a token that reads no pixel.
    """
    model = unwrapped(model)
    named = model.layers()
    last = layer or list(named)[-1]
    refuse_unknown(last, named)
    lowered = lower_network(model, *images.shape[2:], until=last)
    places, walked = places_after(lowered[last]), list(lowered.items())
    if layer is None and query is None:
        head = lower_part(model.head, places)
        walked.append(("head", head))
        taken = covered(head.reads, head.after)  # its outputs alone, all equally
        taken = torch.cat([taken, torch.zeros(head.passing)]).double()
    else:
        taken = torch.zeros(places.count).double()
        tokens = slice(places.h * places.w)
        taken[tokens if query is None else place_of(query, places, last)] = 1
    maps = attention_maps(model, images)
    fractions = (taken / taken.sum()).expand(len(images), -1)
    for name, part_reads in reversed(walked):
        fractions = walk_part(part_reads, fractions, TakeMeans(_mean_of_heads(maps.get(name))))
    total = fractions.sum(1, keepdim=True)
    if not (total > 0).all():
        raise ValueError(f"nothing leads from the pixels to {query} of {last!r}")
    return (fractions / total).unflatten(1, images.shape[2:])


def _mean_of_heads(attention):
    return attention.weights().double().mean(1).cpu() if attention else None  # (b, n, t, s)


def key_fractions(read):
    """How much of each key its queries take: (n, s), rows sum to 1 over the keys that exist.

    By the size of a convolution's taps; equally for pools, and wherever all sizes are 0.
    """
    there = (read.keys >= 0).double()
    weight = getattr(getattr(read.step, "module", None), "weight", None)
    sizes = there if weight is None else there * tap_sizes(weight)
    sizes = torch.where(sizes.sum(1, keepdim=True) > 0, sizes, there)
    return sizes / sizes.sum(1, keepdim=True).clamp(min=torch.finfo(sizes.dtype).tiny)


def tap_sizes(weight):
    """The mean size of each tap of a kernel (c', c, rows, columns): flattened, sums to 1.

    Where all are 0, all count equally.
    """
    sizes = weight.detach().double().abs().mean((0, 1)).flatten().cpu()
    return sizes / sizes.sum() if sizes.sum() > 0 else torch.full_like(sizes, 1 / len(sizes))
