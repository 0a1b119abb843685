"""The rumor: which tokens it can reach, which it cannot, and that training gets there."""

import pytest
import torch

from minimaxvit import BlockAttention, GridAttention
from minimaxvit.experiments.rumor import (
    COLORS,
    Neighbors,
    Shifted,
    accuracy,
    begin,
    bound,
    heard,
    reached,
    spread_rumor,
)
from minimaxvit.partition import block_partition, grid_partition
from minimaxvit.seeing import group_map


def test_one_token_carries_the_color_and_all_are_noisy():
    generator = torch.Generator().manual_seed(0)
    colors, places = torch.tensor([2, 0]), torch.tensor([5, 15])
    maps = begin(colors, places, 4, generator)
    assert maps.shape == (2, 1 + COLORS, 4, 4)
    assert maps[:, 1:].sum() == 2 and maps[0, 3, 1, 1] == 1 and maps[1, 1, 3, 3] == 1
    assert maps[:, 0].unique().numel() == 32
    again = begin(colors, places, 4, torch.Generator().manual_seed(0))
    assert torch.equal(maps, again)


@pytest.mark.parametrize("place", [0, 9, 27, 63])
@pytest.mark.parametrize(
    "layer, partition", [(BlockAttention, block_partition), (GridAttention, grid_partition)]
)
def test_one_attention_reaches_its_group(layer, partition, place):
    groups = torch.from_numpy(group_map(partition, 8, 8, 2))
    mine = groups.flatten()[place]
    assert torch.equal(reached([layer], 8, 2, place), groups == mine)


def test_a_convolution_reaches_its_neighbors_and_two_reach_theirs():
    place = 3 * 8 + 4
    for depth in (1, 2, 3):
        expected = torch.zeros(8, 8, dtype=torch.bool)
        expected[max(0, 3 - depth) : 4 + depth, 4 - depth : 5 + depth] = True
        assert torch.equal(reached(depth * [Neighbors], 8, 4, place), expected)


def test_windows_are_shifted_by_half_and_do_not_wrap_around():
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[2:6, 2:6] = True
    assert torch.equal(reached([Shifted], 8, 4, 3 * 8 + 3), expected)
    corner = torch.zeros(8, 8, dtype=torch.bool)
    corner[:2, :2] = True
    assert torch.equal(reached([Shifted], 8, 4, 0), corner)


def test_block_then_grid_reaches_all_and_either_twice_does_not():
    counts = {
        layers: reached(layers, 16, 4, 100).sum().item()
        for layers in [
            (BlockAttention, GridAttention),
            (GridAttention, BlockAttention),
            (BlockAttention, BlockAttention),
            (GridAttention, GridAttention),
        ]
    }
    assert list(counts.values()) == [256, 256, 16, 16]


def test_always_predicting_one_color_is_right_once_in_four():
    def stubborn(maps):
        return torch.eye(COLORS)[1].view(1, -1, 1, 1).expand(len(maps), -1, 8, 8)

    assert accuracy(stubborn, 8, rumors=400) == 0.25


def test_the_bound_is_knowing_or_guessing():
    assert bound(0) == 0.25 and bound(1) == 1 and bound(1 / 3) == pytest.approx(0.5)


@pytest.mark.slow
@pytest.mark.parametrize("layers", [(BlockAttention,), (GridAttention,)])
def test_training_tells_exactly_the_tokens_that_are_reached(layers):
    listeners = spread_rumor(layers, 8, 4, steps=150)
    for place in (0, 28):
        accuracies = heard(listeners, 8, place)
        can = reached(layers, 8, 4, place)
        assert accuracies[can].min() > 0.95
        assert accuracies[~can].max() < 0.45  # a quarter, and luck in 200 rumors
        assert abs(accuracies.mean() - bound(can.float().mean())) < 0.05


def test_a_run_can_be_repeated_to_the_last_bit():
    one, other = (spread_rumor([BlockAttention], 4, 2, steps=3, seed=5) for _ in range(2))
    for some, others in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(some, others)


def test_a_run_leaves_the_random_state_of_the_caller_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    spread_rumor([BlockAttention], 4, 2, steps=1)
    reached([BlockAttention], 4, 2, 0)
    assert torch.equal(torch.rand(3), expected)


def test_an_odd_window_cannot_be_shifted_by_half():
    with pytest.raises(ValueError, match="even side to be halved, got 3"):
        Shifted(32, 3)
