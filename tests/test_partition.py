"""Both partitions against loops, their inverses, and exactly when they coincide."""

import pytest
import torch
from helpers import few
from hypothesis import given, strategies as st

from minimaxvit import block_partition, block_reverse, grid_partition, grid_reverse

small = st.integers(1, 5)
pairs = pytest.mark.parametrize(
    "partition, reverse", [(block_partition, block_reverse), (grid_partition, grid_reverse)]
)


def numbered(b, h, w, c):
    """A map whose every number is different, so that none can stand for another."""
    return torch.arange(b * h * w * c).reshape(b, h, w, c)


def sets(groups):
    """Each group as the set of its tokens, whatever their order."""
    return {frozenset(group.flatten().tolist()) for group in groups[0]}


@pairs
@few
@given(b=st.integers(1, 3), c=st.integers(1, 3), rows=small, columns=small, side=small)
def test_reverse_undoes_partition(partition, reverse, b, c, rows, columns, side):
    h, w = rows * side, columns * side
    x = numbered(b, h, w, c)
    groups = partition(x, side)
    assert groups.shape == (b, rows * columns, side * side, c)
    assert torch.equal(reverse(groups, side, h, w), x)


@few
@given(rows=small, columns=small, window=small)
def test_block_partition_agrees_with_loops(rows, columns, window):
    x = numbered(2, rows * window, columns * window, 3)
    groups = block_partition(x, window)
    for n1 in range(rows):
        for n2 in range(columns):
            for p1 in range(window):
                for p2 in range(window):
                    token = groups[:, n1 * columns + n2, p1 * window + p2]
                    assert torch.equal(token, x[:, n1 * window + p1, n2 * window + p2])


@few
@given(rows=small, columns=small, grid=small)
def test_grid_partition_agrees_with_loops(rows, columns, grid):
    x = numbered(2, grid * rows, grid * columns, 3)
    groups = grid_partition(x, grid)
    for n1 in range(rows):
        for n2 in range(columns):
            for g1 in range(grid):
                for g2 in range(grid):
                    token = groups[:, n1 * columns + n2, g1 * grid + g2]
                    assert torch.equal(token, x[:, g1 * rows + n1, g2 * columns + n2])


def test_tokens_of_a_block_are_neighbors():
    blocks = block_partition(numbered(1, 4, 6, 1), 2)[0, :, :, 0].tolist()
    assert blocks == [
        [0, 1, 6, 7],
        [2, 3, 8, 9],
        [4, 5, 10, 11],
        [12, 13, 18, 19],
        [14, 15, 20, 21],
        [16, 17, 22, 23],
    ]


def test_tokens_of_a_grid_group_are_a_stride_apart():
    # Half of 4 rows is 2 rows, or 12 tokens, and half of 6 columns is 3.
    groups = grid_partition(numbered(1, 4, 6, 1), 2)[0, :, :, 0].tolist()
    assert groups == [
        [0, 3, 12, 15],
        [1, 4, 13, 16],
        [2, 5, 14, 17],
        [6, 9, 18, 21],
        [7, 10, 19, 22],
        [8, 11, 20, 23],
    ]


@few
@given(rows=small, columns=small, side=small)
def test_grid_is_block_only_for_single_tokens_or_one_group_over_the_whole_map(rows, columns, side):
    x = numbered(1, rows * side, columns * side, 1)
    block, grid = block_partition(x, side), grid_partition(x, side)
    must = side == 1 or rows == columns == 1
    # No map has the same groups in another order: as arrays and as sets they coincide together.
    assert torch.equal(block, grid) == must
    assert (sets(block) == sets(grid)) == must


@few
@given(cells=small, grid=small)
def test_grid_on_a_square_map_is_block_with_groups_and_tokens_swapped(cells, grid):
    # With cells == grid, one side serves both: the 16 x 16 map with blocks and grid of 4.
    x = numbered(2, grid * cells, grid * cells, 3)
    assert torch.equal(grid_partition(x, grid), block_partition(x, cells).transpose(1, 2))


@pairs
@pytest.mark.parametrize(
    "h, w, side", [(28, 30, 8), (32, 30, 8), (30, 32, 8), (8, 8, 0), (8, 8, -2)]
)
def test_a_map_that_does_not_divide_is_refused_by_name(partition, reverse, h, w, side):
    said = rf"{h} x {w} tokens is not divisible by {side}\b"
    with pytest.raises(ValueError, match=said):
        partition(torch.zeros(1, h, w, 1), side)
    with pytest.raises(ValueError, match=said):
        reverse(torch.zeros(1, 1, h * w, 1), side, h, w)
