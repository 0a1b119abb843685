"""Paths lead to exactly those pixels by which a network's gradients are not zero."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from explored import SMALL
from helpers import noise, randomize
from torch import nn

from minimaxvit import (
    CONFIGS,
    BlockAttention,
    Downsample,
    GridAttention,
    MaxViT,
    MBConv,
    maxvit,
)
from minimaxvit.layers import Conv3x3
from minimaxvit.network import Stem
from minimaxvit.relatives import ConvStem, PooledConvs
from minimaxvit.seeing import count_paths, trace

CASES = {
    "MaxViT": (SMALL, 16, 32),
    "no grid": (replace(SMALL, parts=2 * ((MBConv, BlockAttention),)), 32, 32),
    "grid first": (replace(SMALL, parts=2 * ((GridAttention, BlockAttention),)), 16, 32),
    "odd sides": (replace(SMALL, parts=2 * ((MBConv,),)), 21, 27),
    "pooled convolutions": (
        replace(
            SMALL,
            stem=ConvStem,
            stem_stride=1,
            parts=((PooledConvs,), (PooledConvs, BlockAttention)),
        ),
        8,
        16,
    ),
}


def without_excitation(model):
    for part in model.modules():
        if isinstance(part, MBConv):
            part.squeeze_excite = nn.Identity()
    return model


def seen_pixels(model, h, w, layer, query):
    """Where the gradient of a token is not zero, measured on the network itself."""
    images = noise(1, 3, h, w).requires_grad_()
    x = images
    for name, part in model.layers().items():
        x = part(x)
        if name == layer:
            break
    token = x[0, :, *query]
    (gradient,) = torch.autograd.grad(token @ noise(len(token)), images)
    return gradient[0].abs().sum(0) > 0


@pytest.mark.parametrize("gates", [True, False])
@pytest.mark.parametrize("config, h, w", CASES.values(), ids=CASES)
def test_it_is_where_gradients_are_not_zero(config, h, w, gates):
    model = randomize(MaxViT(config))
    if not gates:
        without_excitation(model)
    for layer in model.layers():
        counts = trace(model, h, w, layer, (0, 0), gates)
        down, across = counts[layer].shape
        for query in {(0, 0), (down - 1, across // 2), (down // 2, across - 1)}:
            reached = trace(model, h, w, layer, query, gates)["pixels"] > 0
            seen = seen_pixels(model, h, w, layer, query)
            if any(isinstance(part, PooledConvs) for part in model.layers().values()):
                assert not (seen & ~reached).any()  # a max-pool passes on one of four
            else:
                assert torch.equal(reached, seen), (layer, query)


def skeleton(part, x, gates):
    """What the part does to places, with one channel and every weight 1: (1, 1, h, w)."""
    if isinstance(part, Conv3x3):
        ones = Conv3x3(1, 1, part.stride[0], bias=False).double()
        nn.init.ones_(ones.weight)
        return ones(x)
    if isinstance(part, Stem):
        return skeleton(part.conv2, skeleton(part.conv1, x, gates), gates)
    if isinstance(part, ConvStem):
        return skeleton(part.conv1, x, gates)
    if isinstance(part, MBConv):
        y = skeleton(part.depthwise, x, gates)
        return added_up(x, part.stride) + y + (y.sum() if gates else 0)
    if isinstance(part, Downsample):
        return added_up(x, part.stride)
    if isinstance(part, PooledConvs):
        y = added_up(skeleton(part.conv1, x, gates), part.stride)
        return skeleton(part.conv2, y, gates)
    groups = part.partition(x.permute(0, 2, 3, 1), part.window)  # (1, n, t, 1)
    met = groups.sum(2, keepdim=True).expand_as(groups)
    return x + part.reverse(met, part.window, *x.shape[2:]).permute(0, 3, 1, 2)


def added_up(x, stride):
    if stride == 1:
        return x
    return F.avg_pool2d(x, stride, ceil_mode=True, divisor_override=1)


@pytest.mark.parametrize("gates", [True, False])
@pytest.mark.parametrize("config, h, w", CASES.values(), ids=CASES)
def test_counts_are_the_derivatives_of_a_skeleton_of_ones(config, h, w, gates):
    model, query = MaxViT(config), (1, 0)
    x = torch.ones(1, 1, h, w, dtype=torch.float64, requires_grad=True)
    maps = {"pixels": x}
    for name, part in model.layers().items():
        maps[name] = skeleton(part, maps[next(reversed(maps))], gates)
    counts = torch.autograd.grad(maps[name][0, 0, *query], list(maps.values()))
    for found, known in zip(trace(model, h, w, name, query, gates).values(), counts, strict=True):
        assert torch.equal(found, known[0, 0])


def test_a_max_pool_may_pass_on_any_of_its_four():
    model = randomize(MaxViT(CASES["pooled convolutions"][0]))
    layer = list(model.layers())[-1]
    seen = torch.zeros(8, 16, dtype=torch.bool)
    for seed in range(40):
        torch.manual_seed(seed)
        images = torch.randn(1, 3, 8, 16, dtype=torch.float64, requires_grad=True)
        model.features(images)[-1][0, :, 0, 1].sum().backward()
        seen |= images.grad[0].abs().sum(0) > 0
    assert torch.equal(trace(model, 8, 16, layer, (0, 1))["pixels"] > 0, seen)


def test_every_layer_on_the_way_is_traced_to_the_same_token():
    model = without_excitation(randomize(MaxViT(SMALL)))
    named = model.layers()
    counts = trace(model, 16, 16, list(named)[-1], (1, 0), gates=False)
    assert list(counts) == ["pixels", *named]
    assert counts[list(named)[-1]].tolist() == [[0, 0], [1, 0]]
    x = noise(1, 3, 16, 16)
    for start, (name, end) in zip(counts.values(), list(counts.items())[1:], strict=False):
        jacobian = torch.autograd.functional.jacobian(named[name], x)  # (1, c', h', w', 1, c, h, w)
        joins = jacobian.abs().sum((0, 1, 4, 5)) > 0  # (h', w', h, w)
        assert torch.equal(start > 0, torch.tensordot(end, joins.double(), 2) > 0), name
        x = named[name](x)


def test_paths_through_a_pair_are_those_counted_by_hand_plus_the_shortcuts():
    parts = (BlockAttention, GridAttention)
    model = MaxViT(replace(SMALL, depths=(1,), dims=(32,), parts=(parts,)))
    names = list(model.layers())
    assert names[2:] == ["1.1 BlockAttention", "1.1 GridAttention"]
    counts = trace(model, 16, 16, names[-1], (1, 2))["1.1 Downsample"]
    partitions = [part.partition for part in parts]
    by_hand = sum(
        count_paths(some, 4, 4, 2, (1, 2))
        for some in ([], partitions[:1], partitions[1:], partitions)
    )
    assert counts.tolist() == by_hand.tolist()


def test_excitation_depends_on_everything():
    model = maxvit("hybrid")
    assert (trace(MaxViT(SMALL), 32, 32, "1.1 MBConv", (3, 3))["pixels"] > 0).all()
    assert not (trace(MaxViT(SMALL), 32, 32, "1.1 MBConv", (3, 3), False)["pixels"] > 0).all()
    assert torch.equal(*(trace(model, 32, 32, "stem", (9, 9), g)["pixels"] for g in (True, False)))


def test_a_part_that_comes_twice_has_two_names():
    model = MaxViT(replace(SMALL, parts=2 * ((MBConv, BlockAttention, BlockAttention),)))
    last = "1.1 BlockAttention, again"
    assert list(trace(model, 16, 16, last, (0, 0))) == [
        "pixels",
        "stem",
        "1.1 MBConv",
        "1.1 BlockAttention",
        last,
    ]


def test_a_class_token_is_traced_by_the_number_of_its_place():
    model = maxvit("vit")
    counts = trace(model, 32, 32, "1.1 GlobalAttention", 64)
    assert (counts["pixels"] == 1).all() and not counts["1.1 GlobalAttention"].any()
    assert not trace(model, 32, 32, "stem", 64)["pixels"].any()  # it began there


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"layer": "1.1 GridAtention"}, "no layer '1.1 GridAtention'; did you mean '1.1 GridAtt"),
        (
            {"query": (8, 0)},
            r"query \(8, 0\) is outside .* 8 x 8 tokens: row 0 to 7, column 0 to 7",
        ),
        ({"query": (0, -1)}, r"query \(0, -1\) is outside"),
        ({"query": 64}, "query 64 is outside"),
        ({"query": -1}, "query -1 is outside"),
        ({"h": 20}, "is not divisible by 2"),
    ],
)
def test_what_is_not_there_is_named(changed, said):
    asked = {"h": 32, "w": 32, "layer": "1.1 GridAttention", "query": (0, 0)}
    with pytest.raises(ValueError, match=said):
        trace(MaxViT(SMALL), **(asked | changed))


def test_the_tiny_network_at_224_is_traced_to_its_pixels():
    with torch.device("meta"):
        model = MaxViT(CONFIGS["tiny"])
    counts = trace(model, 224, 224, "4.2 GridAttention", (3, 3), gates=False)
    assert (counts["pixels"] > 0).all() and counts["pixels"].shape == (224, 224)
