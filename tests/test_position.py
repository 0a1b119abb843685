"""The offset is key minus query, every offset counts, and the table learns."""

import torch
from helpers import few
from hypothesis import given, strategies as st

from minimaxvit import RelativePositionBias, relative_position_index

windows = st.integers(1, 7)


def how_often(window):
    """In how many pairs of a window each offset occurs: (p - |down|) (p - |right|)."""
    side = window - torch.arange(1 - window, window).abs()
    return side[:, None] * side[None, :]  # (2p-1, 2p-1)


def test_the_index_of_a_window_of_two_by_hand():
    # Tokens 0 1 / 2 3, offsets numbered 0 1 2 / 3 4 5 / 6 7 8. Seen from query 0, key 1 stands one
    # to the right, which is 5; seen from query 1, key 0 stands one to the left, which is 3.
    assert relative_position_index(2).tolist() == [
        [4, 5, 7, 8],
        [3, 4, 6, 7],
        [1, 2, 4, 5],
        [0, 1, 3, 4],
    ]


@few
@given(windows)
def test_the_offset_is_key_minus_query(window):
    index = relative_position_index(window)
    assert index.shape == (window**2, window**2) and index.dtype == torch.long
    tokens = [(row, column) for row in range(window) for column in range(window)]
    for query, (query_row, query_column) in enumerate(tokens):
        for key, (key_row, key_column) in enumerate(tokens):
            down = key_row - query_row + window - 1
            right = key_column - query_column + window - 1
            assert divmod(index[query, key].item(), 2 * window - 1) == (down, right)


@few
@given(windows)
def test_the_index_covers_each_offset_as_often_as_it_occurs(window):
    found = relative_position_index(window).flatten().bincount(minlength=(2 * window - 1) ** 2)
    assert torch.equal(found, how_often(window).flatten())


def test_the_bias_of_a_pair_stands_in_the_table_at_its_offset():
    bias = RelativePositionBias(heads=3, window=4)
    for query, key, down, right in [(0, 0, 0, 0), (0, 15, 3, 3), (15, 0, -3, -3), (2, 5, 1, -1)]:
        assert torch.equal(bias()[:, query, key], bias.table[:, 3 + down, 3 + right])


@few
@given(windows)
def test_the_table_gets_a_gradient_in_every_entry(window):
    bias = RelativePositionBias(heads=2, window=window)
    bias().sum().backward()
    assert torch.equal(bias.table.grad, how_often(window).float().expand(2, -1, -1))


def test_the_bias_follows_its_table():
    bias = RelativePositionBias(heads=2, window=3)
    before = bias()
    with torch.no_grad():
        bias.table += 1
    assert torch.equal(bias(), before + 1)


def test_the_table_begins_as_small_noise():
    torch.manual_seed(0)
    table = RelativePositionBias(heads=16, window=16).table
    assert table.shape == (16, 31, 31)
    assert abs(table.std() - 0.02) < 0.0005 and abs(table.mean()) < 0.0005


def test_only_the_table_is_saved():
    assert set(RelativePositionBias(heads=2, window=3).state_dict()) == {"table"}
