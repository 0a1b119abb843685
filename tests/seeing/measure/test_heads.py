"""Measures of heads against heads whose measures are known, and distances counted pair by pair."""

import math
from dataclasses import replace

import pytest
import torch

from minimaxvit import BlockAttention, GridAttention
from minimaxvit.seeing import measure_heads, record_attention


def recorded(layer, side=8, window=4, stride=4):
    torch.manual_seed(0)
    layer = layer(64, window)
    with record_attention(layer) as maps, torch.no_grad():
        layer(torch.randn(2, 64, side, side))
    attention = maps[""]
    places = attention.places._replace(stride=stride)
    return replace(attention, places=places, key_places=places)


@pytest.mark.parametrize("layer", [BlockAttention, GridAttention])
def test_a_head_that_does_not_choose_sees_all_keys_at_the_uniform_distance(layer):
    attention = recorded(layer)
    heads = measure_heads(attention, attention.weights(scores=False, bias=False))
    torch.testing.assert_close(heads.entropy, torch.full((2,), 4.0))
    torch.testing.assert_close(heads.keys, torch.full((2,), 16.0))
    torch.testing.assert_close(heads.distance, torch.full((2,), heads.even))


def test_a_head_that_looks_at_itself_sees_one_key_at_no_distance():
    attention = recorded(GridAttention)
    weights = torch.eye(16).expand(2, 2, 4, 16, 16)
    heads = measure_heads(attention, weights)
    for measure, known in ((heads.entropy, 0), (heads.keys, 1), (heads.distance, 0)):
        assert measure.tolist() == [known, known]


@pytest.mark.parametrize("layer", [BlockAttention, GridAttention])
def test_distances_are_those_of_every_pair_in_pixels(layer):
    attention = recorded(layer)
    weights = attention.weights()
    lifted = attention.lift(weights)
    total = torch.zeros(2)
    for query in range(64):
        for key in range(64):
            apart = 4 * math.hypot(query // 8 - key // 8, query % 8 - key % 8)
            total += apart * lifted[:, :, query, key].sum(0)
    heads = measure_heads(attention, weights)
    torch.testing.assert_close(heads.distance, total / (2 * 64))


def test_uniform_weights_look_farther_on_a_grid():
    block, grid = (
        measure_heads(attention, attention.weights())
        for attention in map(recorded, (BlockAttention, GridAttention))
    )
    assert grid.even == pytest.approx(2 * block.even)  # strides of two tokens instead of one


def test_two_keys_shared_evenly_count_as_two():
    weights = torch.zeros(1, 1, 4, 16, 16)
    weights[..., :2] = 0.5
    heads = measure_heads(recorded(BlockAttention), weights)
    assert heads.entropy.item() == 1 and heads.keys.item() == 2


def test_extra_tokens_lie_nowhere_and_keys_may_be_missing():
    attention = recorded(BlockAttention, side=4)  # one group of 16
    places = attention.places._replace(extra=1)
    numbers = torch.cat([attention.queries, torch.tensor([[16]])], 1)  # 17 of them
    keys = torch.cat([numbers, torch.tensor([[-1]])], 1)
    scores = torch.zeros(1, 1, 1, 17, 18)
    with_extra = replace(
        attention,
        scores=scores,
        bias=scores,
        queries=numbers,
        keys=keys,
        places=places,
        key_places=places,
    )
    weights = with_extra.weights()
    assert torch.equal(weights[0, 0, 0, 0], torch.tensor([1 / 17] * 17 + [0.0]))
    heads = measure_heads(with_extra, weights)
    alone = measure_heads(attention, attention.weights(scores=False, bias=False))
    assert heads.distance.item() == pytest.approx(alone.even)
    assert heads.even == pytest.approx(alone.even)
    assert heads.keys.item() == pytest.approx(17)
