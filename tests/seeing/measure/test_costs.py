"""The multiply-adds by kind: their sum, and each kind by hand."""

import pytest
import torch

from minimaxvit import CONFIGS, BlockAttention
from minimaxvit.seeing import layer_multiply_adds, multiply_adds
from minimaxvit.summary import count


@pytest.mark.parametrize(
    "name, h, w", [("tiny", 224, 224), ("tiny", 224, 448), ("compact", 32, 64)]
)
def test_the_kinds_sum_up_to_the_whole(name, h, w):
    costs = multiply_adds(CONFIGS[name], h, w)
    assert sum(costs.values()) == sum(row[3] for row in count(CONFIGS[name], h, w))
    assert list(costs.values()) == sorted(costs.values(), reverse=True)


def test_the_kinds_of_tiny_are_those_counted_by_hand():
    config, sides = CONFIGS["tiny"], (56, 28, 14, 7)
    stages = list(zip(config.depths, sides, config.dims, strict=True))
    costs = multiply_adds(config, 224, 224)
    products = sum(2 * n * 2 * side**2 * 49 * c for n, side, c in stages)
    assert costs["attention: products of pairs"] == products
    assert costs["linear: attention"] == sum(2 * n * side**2 * 4 * c * c for n, side, c in stages)
    assert costs["linear: feed-forward"] == 2 * costs["linear: attention"]
    assert costs["linear: head"] == 512 * 512 + 512 * 1000
    assert costs["convolutions: dense 3x3"] == 9 * 112**2 * (3 * 64 + 64 * 64)  # the stem's
    assert costs["convolutions: depthwise 3x3"] == sum(
        9 * n * side**2 * 4 * c for n, side, c in stages
    )
    assert len(costs) == 7


def test_a_network_without_attention_has_no_products():
    config = CONFIGS["convolutions"]
    assert set(multiply_adds(config, 32, 32)) == {"convolutions: dense 3x3", "linear: head"}


def test_a_size_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="is not divisible by 7"):
        multiply_adds(CONFIGS["tiny"], 224, 200)


def test_a_layer_costs_what_its_formula_says_and_stays_as_it_was():
    layer, n, c = BlockAttention(64, 4, expansion=2), 16 * 8, 64
    before = layer.state_dict()
    # Four projections and two of the feed-forward layer, and two products with 16 keys.
    assert layer_multiply_adds(layer, 64, 16, 8) == n * (4 + 2 * 2) * c**2 + 2 * n * 16 * c
    assert layer.state_dict().keys() == before.keys() and layer.training
    assert all(torch.equal(layer.state_dict()[name], before[name]) for name in before)
