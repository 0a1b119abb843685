"""Paths counted on a map, against products of matrices and against gradients."""

import numpy as np
import pytest
import torch
from groups import PAIR, SIZES, same_group

from minimaxvit import BlockAttention, GridAttention
from minimaxvit.seeing import count_paths


@pytest.mark.parametrize("h, w, side", SIZES)
@pytest.mark.parametrize("order", [PAIR, PAIR[::-1], PAIR + PAIR])
def test_paths_are_the_product_of_the_same_group_matrices(order, h, w, side):
    product = np.eye(h * w, dtype=int)
    for partition in order:
        product = same_group(partition, h, w, side) @ product
    for query in [(0, 0), (h // 2, w - 1), (h - 1, 1)]:
        expected = product[query[0] * w + query[1]].reshape(h, w)
        np.testing.assert_array_equal(count_paths(order, h, w, side, query), expected)


@pytest.mark.parametrize(
    "side, window, seen, each", [(8, 4, 64, 4), (16, 4, 256, 1), (32, 4, 256, 1), (56, 7, 2401, 1)]
)
def test_one_pair_sees_as_much_from_every_query(side, window, seen, each):
    for query in np.ndindex(side, side):
        paths = count_paths(PAIR, side, side, window, query)
        assert (paths > 0).sum() == seen
        assert set(paths[paths > 0]) == {each}
        if side > 16 and query[1] > window:
            break  # a row and a bit shows every place in window and cell


@pytest.mark.parametrize("side, window, seen", [(32, 4, 256), (56, 7, 3136)])
def test_a_second_pair_helps_only_where_windows_drift_against_strides(side, window, seen):
    for place in range(side):
        paths = count_paths(PAIR + PAIR, side, side, window, (place, place))
        assert (paths > 0).sum() == seen


@pytest.mark.parametrize(
    "layers", [(BlockAttention, GridAttention), (GridAttention, BlockAttention)]
)
@pytest.mark.parametrize("query", [(0, 0), (5, 17)])
def test_paths_lead_exactly_to_where_the_gradient_is_not_zero(layers, query):
    torch.manual_seed(0)
    network = torch.nn.Sequential(*(layer(32, 4) for layer in layers)).double()
    x = torch.randn(1, 32, 16, 24, dtype=torch.float64, requires_grad=True)  # (b, c, h, w)
    network(x)[0, :, *query].sum().backward()
    order = [layer.partition for layer in layers]
    paths = count_paths(order, 16, 24, 4, query)
    np.testing.assert_array_equal(paths > 0, x.grad[0].abs().sum(0).numpy() > 0)


def test_paths_tell_the_order_of_attentions():
    first = count_paths(PAIR, 56, 56, 7, (28, 28))
    second = count_paths(PAIR[::-1], 56, 56, 7, (28, 28))
    assert (first != second).any()
