"""Rollout is a product of means: against dense matrices, and by what a mean keeps."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from explored import SMALL, images as pictures
from helpers import randomize
from torch import nn

from minimaxvit import (
    BlockAttention,
    GridAttention,
    MaxViT,
    MBConv,
    maxvit,
)
from minimaxvit.layers import Conv3x3
from minimaxvit.mbconv import Downsample
from minimaxvit.network import Stem
from minimaxvit.pixels import normalize
from minimaxvit.relatives import ConvStem, PooledConvs
from minimaxvit.seeing import record_attention, rollout, trace
from minimaxvit.seeing.measure.reads import Places, lower, lower_part
from minimaxvit.seeing.measure.rollout import TakeMeans
from minimaxvit.seeing.measure.walking import walk, walk_part
from minimaxvit.steps import Taps


@pytest.mark.parametrize("query", [None, (1, 2)])
def test_through_attention_it_is_the_product_of_the_lifted_matrices(query):
    parts = (BlockAttention, GridAttention)
    config = replace(SMALL, depths=(1,), dims=(32,), parts=(parts,), stem=ConvStem, stem_stride=1)
    model, images = randomize(MaxViT(config)).float().train(), pictures(2, 8, 16)
    with record_attention(model) as maps, torch.no_grad():
        model.eval()(normalize(images))
    block, grid = (
        (torch.eye(32) + attention.lift(attention.weights()).mean(1)) / 2
        for attention in maps.values()
    )
    if query is None:
        taken = torch.full((2, 1, 32), 1 / 32)
    else:
        taken = torch.eye(32)[None, query[0] * 8 + query[1]].expand(2, 1, 32)
    tokens = (taken @ grid @ block).unflatten(2, (4, 8)).double()  # (2, 1, h, w)
    upsampled = tokens.repeat_interleave(2, 2).repeat_interleave(2, 3) / 4  # the pool's transpose
    kernel = model.stem.conv1.weight.abs().mean((0, 1)).double()[None, None]
    shared = F.conv2d(torch.ones_like(upsampled), kernel, padding=1)
    known = F.conv_transpose2d(upsampled / shared, kernel, padding=1)[:, 0]
    found = rollout(model, images, query=query)
    torch.testing.assert_close(found, known, rtol=1e-5, atol=1e-9)


def forward_matrix(part, h, w, weights=None):
    """What the means of a part are, dense: (b, places after, places before)."""
    lowered = lower_part(part, Places(h, w))
    ones = torch.eye(lowered.after.count, dtype=torch.float64)
    if weights is None:
        return walk_part(lowered, ones, TakeMeans())[None]
    rows = [walk_part(lowered, one.expand(len(weights), -1), TakeMeans(weights)) for one in ones]
    return torch.stack(rows, 1)


PARTS = {
    "stem": Stem(8),
    "convolution as stem": ConvStem(8, 1),
    "pool": Downsample(4, 6, 2),
    "MBConv": MBConv(8, 16, stride=2),
    "pooled convolutions": PooledConvs(8, 16, stride=2),
    "grid": GridAttention(32, 2),
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("h, w", [(8, 12), (6, 4)])
def test_every_part_takes_a_mean(part, h, w):
    weights = torch.rand(2, h * w // 4, 4, 4, dtype=torch.float64).softmax(-1)
    matrix = forward_matrix(part, h, w, weights)
    torch.testing.assert_close(matrix.sum(-1), torch.ones_like(matrix[..., 0]))


def old_conv(conv, x):
    """The formula for convolutions by PyTorch's own: (b, 1, h, w) -> (b, 1, h', w')."""
    sizes = conv.weight.detach().double().abs().mean((0, 1))
    skeleton = Conv3x3(1, 1, conv.stride[0], bias=False).double().requires_grad_(False)
    skeleton.weight.copy_(sizes / sizes.sum())
    return skeleton(x) / skeleton(torch.ones_like(x))


def old_pool(x, stride):
    return (
        F.avg_pool2d(x, stride, ceil_mode=True) if stride > 1 else x
    )  # leaves out what is not there


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("h, w", [(8, 12), (7, 9), (7, 4)])
def test_mbconv_is_the_mean_of_its_branches_computed_another_way(stride, h, w):
    part = randomize(MBConv(8, 8, stride=stride))
    x = torch.randn(1, 1, h, w, dtype=torch.float64)
    known = (old_pool(x, stride) + old_conv(part.depthwise, x)) / 2
    found = forward_matrix(part, h, w)[0] @ x.flatten()
    torch.testing.assert_close(found, known.flatten())


@pytest.mark.parametrize("h, w", [(16, 12), (13, 9)])
def test_stems_and_pools_agree_with_another_computation(h, w):
    x = torch.randn(1, 1, h, w, dtype=torch.float64)
    stem, pooled = randomize(Stem(8)), randomize(PooledConvs(8, 8, stride=2))
    for part, known in (
        (stem, old_conv(stem.conv2, old_conv(stem.conv1, x))),
        (pooled, old_conv(pooled.conv2, old_pool(old_conv(pooled.conv1, x), 2))),
    ):
        found = forward_matrix(part, h, w)[0] @ x.flatten()
        torch.testing.assert_close(found, known.flatten())


@pytest.mark.parametrize("name", ["whole", "stem", "2.2 MBConv"])
def test_all_of_what_is_taken_is_divided_among_the_pixels(name):
    model = randomize(MaxViT(SMALL)).float()
    found = rollout(model, pictures(3, 32, 48), None if name == "whole" else name)
    assert found.shape == (3, 32, 48) and (found >= 0).all()
    torch.testing.assert_close(found.sum((1, 2)), torch.ones(3, dtype=torch.float64))


def test_without_a_layer_it_is_what_the_head_takes():
    model, images = randomize(MaxViT(SMALL)).float(), pictures(1, 16, 32)
    last = list(model.layers())[-1]
    torch.testing.assert_close(rollout(model, images), rollout(model, images, last))


def test_of_a_class_token_head_it_is_what_the_class_token_takes():
    model, images = randomize(maxvit("vit")).float(), pictures(2, 32, 32)
    with record_attention(model) as maps, torch.no_grad():
        model(normalize(images))
    taken = torch.eye(65, dtype=torch.float64)[None, 64:].expand(2, 1, 65)
    for attention in reversed(maps.values()):
        lifted = attention.lift(attention.weights()).double().mean(1)
        taken = taken @ (torch.eye(65) + lifted) / 2
    kernel = model.stem.project.weight.abs().mean((0, 1)).double()  # (4, 4), each patch by itself
    patches = taken[:, 0, :64].unflatten(1, (8, 8))
    known = torch.kron(patches, kernel / kernel.sum())
    known = known / known.sum((1, 2), keepdim=True)  # of what began in the token itself nothing is
    torch.testing.assert_close(rollout(model, images), known, rtol=1e-5, atol=1e-9)
    with pytest.raises(ValueError, match="nothing leads from the pixels to 64 of 'stem'"):
        rollout(model, images, "stem", 64)


def taps(conv, h, w):
    reads, _ = lower((Taps(conv),), Places(h, w))
    return lambda x: (walk(reads, torch.eye(h * w).double(), TakeMeans()) @ x).flatten()


def test_a_tap_that_weighs_more_takes_more():
    conv = Conv3x3(1, 1)
    nn.init.zeros_(conv.weight)
    conv.weight.data[0, 0, 1, 1], conv.weight.data[0, 0, 1, 0] = 1, -3  # middle, left
    out = taps(conv, 1, 8)(torch.arange(8.0, dtype=torch.float64))
    assert out[5] == pytest.approx((5 + 3 * 4) / 4) and out[0] == 0  # nothing left of the first


def test_where_all_taps_are_zero_they_take_evenly():
    conv = Conv3x3(1, 1)
    nn.init.zeros_(conv.weight)
    out = taps(conv, 3, 3)(torch.arange(9.0, dtype=torch.float64))
    assert out[4] == pytest.approx(4) and out[0] == pytest.approx(2)
    conv.weight.data[0, 0, 0, 0] = 1  # of the first token no such tap exists
    assert taps(conv, 3, 3)(torch.arange(9.0, dtype=torch.float64))[0] == pytest.approx(2)


def test_the_model_is_given_back_as_it_was():
    model = maxvit("compact")
    rollout(model, pictures(1, 32, 32))
    assert model.training and not any(part._forward_pre_hooks for part in model.modules())


@pytest.mark.parametrize(
    "layer, query, said",
    [
        ("2.1 BlokAttention", None, "did you mean '2.1 BlockAttention'"),
        ("2.1 BlockAttention", (8, 8), "outside the map of '2.1 BlockAttention', which has 8 x 8"),
    ],
)
def test_what_is_not_there_is_named(layer, query, said):
    with pytest.raises(ValueError, match=said):
        rollout(maxvit("compact"), pictures(1, 32, 32), layer, query)


def test_it_draws_no_random_number_and_works_where_gradients_are_off():
    model = maxvit("compact")
    torch.manual_seed(0)
    known = torch.rand(1)
    torch.manual_seed(0)
    with torch.no_grad():
        rollout(model, pictures(1, 32, 32))
        trace(model, 32, 32, "2.1 GridAttention", (0, 0))
    assert torch.rand(1) == known
