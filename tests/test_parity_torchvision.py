"""Partition, bias and attention are torchvision's, once its scale is folded into the query.

The rest of its network differs (docs of each part say where), so parts are compared and not logits.
Everything is random and in float64.
"""

from functools import partial

import pytest
import torch
from helpers import noise
from torch import nn
from torchvision.models.maxvit import (
    PartitionAttentionLayer,
    RelativePositionalMultiHeadAttention,
    SwapAxes,
    WindowDepartition,
    WindowPartition,
)

from minimaxvit import (
    BlockAttention,
    GridAttention,
    RelativeAttention,
    block_partition,
    block_reverse,
    grid_partition,
    grid_reverse,
)


def randomize(module):
    generator = torch.Generator().manual_seed(0)
    for parameter in module.double().eval().parameters():
        parameter.data.normal_(std=0.3, generator=generator)
    return module


def as_ours(theirs):
    """Our attention with torchvision's weights: its scale is c ** -0.5, its offset query - key."""
    channels = theirs.merge.in_features
    ours = RelativeAttention(channels, theirs.size).double().eval()
    weights, biases = theirs.to_qkv.weight.chunk(3), theirs.to_qkv.bias.chunk(3)
    scales = ((32 / channels) ** 0.5, 1, 1)
    with torch.no_grad():
        for layer, weight, bias, scale in zip(
            (ours.query, ours.key, ours.value), weights, biases, scales, strict=True
        ):
            layer.weight.copy_(scale * weight)
            layer.bias.copy_(scale * bias)
        table = theirs.relative_position_bias_table.T
        ours.bias.table.copy_(table.reshape(ours.bias.table.shape).flip(1, 2))
    ours.output.load_state_dict(theirs.merge.state_dict())
    return ours


def difference(ours, theirs):
    """Largest difference as a share of the largest number."""
    assert ours.shape == theirs.shape
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


@pytest.mark.parametrize("h, w, window", [(8, 12, 4), (6, 4, 2), (9, 9, 3), (7, 7, 7)])
def test_blocks_are_those_of_torchvision(h, w, window):
    x = noise(2, 5, h, w)
    expected = WindowPartition()(x, window)
    groups = block_partition(x.permute(0, 2, 3, 1), window)
    assert torch.equal(groups, expected)
    back = WindowDepartition()(expected, window, h // window, w // window)
    assert torch.equal(block_reverse(groups, window, h, w).permute(0, 3, 1, 2), back)


@pytest.mark.parametrize("side, grid", [(12, 3), (12, 4), (8, 2), (7, 7)])
def test_grid_groups_are_those_of_torchvision(side, grid):
    x = noise(2, 5, side, side)  # torchvision's grid knows square maps alone
    cell, swap = side // grid, SwapAxes(-2, -3)
    expected = swap(WindowPartition()(x, cell))
    groups = grid_partition(x.permute(0, 2, 3, 1), grid)
    assert torch.equal(groups, expected)
    back = WindowDepartition()(swap(expected), cell, grid, grid)
    assert torch.equal(grid_reverse(groups, grid, side, side).permute(0, 3, 1, 2), back)


@pytest.mark.parametrize("channels, window", [(32, 3), (64, 4), (96, 7)])
def test_bias_and_attention_are_those_of_torchvision(channels, window):
    theirs = randomize(RelativePositionalMultiHeadAttention(channels, 32, window**2))
    ours, x = as_ours(theirs), noise(2, 3, window**2, channels)
    assert torch.equal(ours.bias(), theirs.get_relative_positional_bias()[0])
    with torch.no_grad():
        assert difference(ours(x), theirs(x)) < 1e-9


@pytest.mark.parametrize(
    "ours, kind, h, w", [(BlockAttention, "window", 8, 12), (GridAttention, "grid", 12, 12)]
)
def test_a_whole_attention_layer_is_that_of_torchvision(ours, kind, h, w):
    gelu = partial(nn.GELU, approximate="tanh")  # torchvision's own is exact, the official is not
    theirs = randomize(
        PartitionAttentionLayer(64, 32, 4, kind, (h, w), 4, gelu, nn.LayerNorm, 0.0, 0.0, 0.0)
    )
    ours = ours(64, window=4).double().eval()
    ours.attention = as_ours(theirs.attn_layer[1])
    ours.attention_norm.load_state_dict(theirs.attn_layer[0].state_dict())
    norm, expand, _, shrink, _ = theirs.mlp_layer
    ours.feed_forward_norm.load_state_dict(norm.state_dict())
    ours.feed_forward.expand.load_state_dict(expand.state_dict())
    ours.feed_forward.shrink.load_state_dict(shrink.state_dict())
    x = noise(2, 64, h, w)
    with torch.no_grad():
        assert difference(ours(x), theirs(x)) < 1e-9
