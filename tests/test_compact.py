"""The residual block of compact, written out in single steps, and what compact is made of."""

import pytest
import torch
import torch.nn.functional as F
from helpers import noise, randomise
from test_mbconv import normalised, tanh_gelu

from minimaxvit import CONFIGS, BlockAttention, GridAttention, MaxViT, MaxViTBlock, MBConv, Residual


@pytest.mark.parametrize("training", [False, True])
def test_it_is_its_steps_written_out(training):
    part = randomise(Residual(8, window=4, expansion=2)).train(training)
    x = noise(3, 8, 5, 6)
    y = F.conv2d(tanh_gelu(normalised(x, part.norm1)), part.conv1.weight, padding=1)
    y = F.conv2d(tanh_gelu(normalised(y, part.norm2)), part.conv2.weight, padding=1)
    torch.testing.assert_close(part(x), x + y)


def test_a_dropped_branch_leaves_the_shortcut():
    part = Residual(4, drop_rate=1 - 1e-6).train()
    x = torch.randn(4, 4, 4, 4)
    assert torch.equal(part(x), x)


def test_it_stands_in_a_block_beside_the_other_parts():
    block = MaxViTBlock(32, 64, 4, 2, (MBConv, Residual, BlockAttention, GridAttention))
    assert [type(part) for part in block.parts] == [MBConv, Residual, BlockAttention, GridAttention]
    assert block(torch.randn(2, 32, 16, 16)).shape == (2, 64, 8, 8)


def test_without_mbconv_the_map_is_pooled_before_it():
    block = MaxViTBlock(32, 64, 4, 2, (Residual,))
    assert block(torch.randn(2, 32, 16, 16)).shape == (2, 64, 8, 8)


def test_compact_has_both_attentions_where_they_differ_and_one_where_they_do_not():
    config = CONFIGS["compact"]
    maps = [tuple(x.shape[1:]) for x in MaxViT(config).features(torch.zeros(1, 3, 32, 32))]
    assert maps == [(64, 8, 8), (128, 4, 4)] and config.window == 4
    assert {BlockAttention, GridAttention} <= set(config.parts[0])
    assert GridAttention not in config.parts[1]


def test_only_attention_asks_for_maps_that_divide():
    convolutions = ((MBConv, Residual), (Residual, MBConv))
    config = CONFIGS["compact"].__class__((1, 1), (32, 32), 32, 4, convolutions, num_classes=10)
    assert MaxViT(config)(torch.zeros(1, 3, 37, 41)).shape == (1, 10)
