"""Rollout is a product of means: against dense matrices, and by what a mean keeps."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import randomise

from minimaxvit import MAXVIT, BlockAttention, GridAttention, MaxViT, MaxViTConfig, MBConv, maxvit
from minimaxvit.compact import FullStem, PooledConvs
from minimaxvit.data import normalise
from minimaxvit.mbconv import Conv3x3, Downsample
from minimaxvit.network import Stem
from minimaxvit.seeing import record_attention, rollout, trace
from minimaxvit.seeing.rollout import mix

SMALL = MaxViTConfig((1, 2), (32, 32), 8, window=2, num_classes=3, parts=2 * (MAXVIT,))


def pictures(n, h, w):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (n, 3, h, w), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("query", [None, (1, 2)])
def test_through_attention_it_is_the_product_of_the_lifted_matrices(query):
    parts = (BlockAttention, GridAttention)
    config = replace(SMALL, blocks=(1,), widths=(32,), parts=(parts,), stem=FullStem)
    model, images = randomise(MaxViT(config)).float().train(), pictures(2, 8, 16)
    with record_attention(model) as maps, torch.no_grad():
        model.eval()(normalise(images))
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


PARTS = {
    "3x3": (Conv3x3(4, 6), 4),
    "3x3, stride 2": (Conv3x3(4, 6, stride=2), 4),
    "pool": (Downsample(4, 6, 2), 4),
    "stem": (Stem(8), 3),
    "full stem": (FullStem(8), 3),
    "MBConv": (MBConv(8, 16, stride=2), 8),
    "convolutions": (PooledConvs(8, 16, stride=2), 8),
    "grid": (GridAttention(32, 2), 32),
}


@pytest.mark.parametrize("part, channels", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("h, w", [(8, 12), (6, 4)])
def test_every_part_takes_a_mean_and_leaves_the_size_it_leaves(part, channels, h, w):
    weights = torch.rand(2, h * w // 4, 4, 4, dtype=torch.float64).softmax(-1)
    out = mix(part, torch.ones(2, 1, h, w, dtype=torch.float64), weights)
    torch.testing.assert_close(out, torch.ones_like(out))
    assert out.shape[2:] == part(torch.zeros(2, channels, h, w)).shape[2:]


@pytest.mark.parametrize("name", ["whole", "stem", "2.2 MBConv"])
def test_all_of_what_is_taken_is_dealt_out(name):
    model = randomise(MaxViT(SMALL)).float()
    found = rollout(model, pictures(3, 32, 48), None if name == "whole" else name)
    assert found.shape == (3, 32, 48) and (found >= 0).all()
    torch.testing.assert_close(found.sum((1, 2)), torch.ones(3, dtype=torch.float64))


def test_a_tap_that_weighs_more_takes_more():
    conv = Conv3x3(1, 1)
    torch.nn.init.zeros_(conv.weight)
    conv.weight.data[0, 0, 1, 1], conv.weight.data[0, 0, 1, 0] = 1, -3  # middle, left
    x = torch.arange(8.0, dtype=torch.float64).view(1, 1, 1, 8)
    out = mix(conv, x, None).flatten()
    assert out[5] == pytest.approx((5 + 3 * 4) / 4) and out[0] == 0  # nothing left of the first


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


def test_where_all_taps_are_zero_they_take_evenly():
    conv = Conv3x3(1, 1)
    torch.nn.init.zeros_(conv.weight)
    out = mix(conv, torch.arange(9.0, dtype=torch.float64).view(1, 1, 3, 3), None)
    assert out[0, 0, 1, 1] == pytest.approx(4) and out[0, 0, 0, 0] == pytest.approx(2)


def test_it_draws_no_chance_and_works_where_gradients_are_off():
    model = maxvit("compact")
    torch.manual_seed(0)
    known = torch.rand(1)
    torch.manual_seed(0)
    with torch.no_grad():
        rollout(model, pictures(1, 32, 32))
        trace(model, 32, 32, "2.1 GridAttention", (0, 0))
    assert torch.rand(1) == known


def test_a_part_of_ones_own_must_be_said():
    with pytest.raises(TypeError, match="nobody has said what a token of Identity takes from"):
        mix(torch.nn.Identity(), None, None)
