"""The skeleton hears of exactly those pixels by which a network's gradients are not zero."""

from dataclasses import replace

import pytest
import torch
from helpers import noise, randomise
from torch import nn

from minimaxvit import (
    CONFIGS,
    MAXVIT,
    BlockAttention,
    GridAttention,
    MaxViT,
    MaxViTConfig,
    MBConv,
    maxvit,
)
from minimaxvit.compact import FullStem, PooledConvs
from minimaxvit.seeing import count_paths
from minimaxvit.seeing.field import layers, trace

SMALL = MaxViTConfig((1, 2), (32, 32), 8, window=2, num_classes=3, parts=2 * (MAXVIT,))
CASES = {
    "MaxViT": (SMALL, 16, 32),
    "no grid": (replace(SMALL, parts=2 * ((MBConv, BlockAttention),)), 32, 32),
    "grid first": (replace(SMALL, parts=2 * ((GridAttention, BlockAttention),)), 16, 32),
    "odd sides": (replace(SMALL, parts=2 * ((MBConv,),)), 21, 27),
    "compact's parts": (
        replace(SMALL, stem=FullStem, parts=((PooledConvs,), (PooledConvs, BlockAttention))),
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
    for name, part in layers(model).items():
        x = part(x)
        if name == layer:
            break
    asked = x[0, :, *query]
    (gradient,) = torch.autograd.grad(asked @ noise(len(asked)), images)
    return gradient[0].abs().sum(0) > 0


@pytest.mark.parametrize("excite", [True, False])
@pytest.mark.parametrize("config, h, w", CASES.values(), ids=CASES)
def test_it_is_where_gradients_are_not_zero(config, h, w, excite):
    model = randomise(MaxViT(config))
    if not excite:
        without_excitation(model)
    for layer in layers(model):
        counts = trace(model, h, w, layer, (0, 0), excite)
        down, across = counts[layer].shape
        for query in {(0, 0), (down - 1, across // 2), (down // 2, across - 1)}:
            reached = trace(model, h, w, layer, query, excite)["pixels"] > 0
            seen = seen_pixels(model, h, w, layer, query)
            if any(isinstance(part, PooledConvs) for part in layers(model).values()):
                assert not (seen & ~reached).any()  # a max-pool passes on one of four
            else:
                assert torch.equal(reached, seen), (layer, query)


def test_a_max_pool_may_pass_on_any_of_its_four():
    model = randomise(MaxViT(CASES["compact's parts"][0]))
    layer = list(layers(model))[-1]
    seen = torch.zeros(8, 16, dtype=torch.bool)
    for seed in range(40):
        torch.manual_seed(seed)
        images = torch.randn(1, 3, 8, 16, dtype=torch.float64, requires_grad=True)
        model.features(images)[-1][0, :, 0, 1].sum().backward()
        seen |= images.grad[0].abs().sum(0) > 0
    assert torch.equal(trace(model, 8, 16, layer, (0, 1))["pixels"] > 0, seen)


def test_every_layer_on_the_way_is_traced_to_the_same_token():
    model = without_excitation(randomise(MaxViT(SMALL)))
    named = layers(model)
    counts = trace(model, 16, 16, list(named)[-1], (1, 0), excite=False)
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
    model = MaxViT(replace(SMALL, blocks=(1,), widths=(32,), parts=(parts,)))
    names = list(layers(model))
    assert names[2:] == ["1.1 BlockAttention", "1.1 GridAttention"]
    counts = trace(model, 16, 16, names[-1], (1, 2))["1.1 Downsample"]
    partitions = [part.partition for part in parts]
    by_hand = sum(
        count_paths(some, 4, 4, 2, (1, 2))
        for some in ([], partitions[:1], partitions[1:], partitions)
    )
    assert counts.tolist() == by_hand.tolist()


def test_excitation_hears_of_everything():
    model = maxvit("compact")
    assert (trace(MaxViT(SMALL), 32, 32, "1.1 MBConv", (3, 3))["pixels"] > 0).all()
    assert not (trace(MaxViT(SMALL), 32, 32, "1.1 MBConv", (3, 3), False)["pixels"] > 0).all()
    assert torch.equal(*(trace(model, 32, 32, "stem", (9, 9), e)["pixels"] for e in (True, False)))


def test_a_part_that_comes_twice_has_two_names():
    model = MaxViT(replace(SMALL, parts=2 * ((MBConv, BlockAttention, BlockAttention),)))
    assert list(layers(model))[:4] == [
        "stem",
        "1.1 MBConv",
        "1.1 BlockAttention",
        "1.1 BlockAttention, again",
    ]


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"layer": "1.1 GridAtention"}, "no layer '1.1 GridAtention'; did you mean '1.1 GridAtt"),
        (
            {"query": (8, 0)},
            r"query \(8, 0\) is outside .* 8 x 8 tokens: row 0 to 7, column 0 to 7",
        ),
        ({"query": (0, -1)}, r"query \(0, -1\) is outside"),
        ({"h": 20}, "does not divide by window"),
    ],
)
def test_what_is_not_there_is_named(changed, said):
    asked = {"h": 32, "w": 32, "layer": "1.1 GridAttention", "query": (0, 0)}
    with pytest.raises(ValueError, match=said):
        trace(MaxViT(SMALL), **(asked | changed))


def test_a_part_of_ones_own_must_be_said():
    model = MaxViT(SMALL)
    model.stem = nn.Identity()
    with pytest.raises(TypeError, match="nobody has said what meets in a token of Identity"):
        trace(model, 32, 32, "stem", (0, 0))


def test_the_tiny_network_at_224_is_traced_to_its_pixels():
    with torch.device("meta"):
        model = MaxViT(CONFIGS["tiny"])
    counts = trace(model, 224, 224, "4.2 GridAttention", (3, 3), excite=False)
    assert (counts["pixels"] > 0).all() and counts["pixels"].shape == (224, 224)
