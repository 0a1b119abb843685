"""What one token depends on, compared with what can be counted by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from minimaxvit import BlockAttention, GridAttention, MBConv, block_partition, grid_partition
from minimaxvit.relatives import GlobalAttention
from minimaxvit.seeing import footprint, group_map


@pytest.mark.parametrize(
    "layer, partition", [(BlockAttention, block_partition), (GridAttention, grid_partition)]
)
@pytest.mark.parametrize("query", [(0, 0), (3, 6)])
def test_an_attention_sees_its_group(layer, partition, query):
    groups = group_map(partition, 8, 8, 2)
    sizes = footprint(layer(32, 2), 32, 8, query)
    np.testing.assert_array_equal(sizes.numpy() > 0, groups == groups[query])


def test_mbconv_sees_its_kernel_and_by_squeeze_excitation_the_whole_map():
    torch.manual_seed(0)
    conv = MBConv(8, 16, stride=1)
    assert (footprint(conv, 8, 6, (2, 3)) > 0).all()
    conv.squeeze_excite = nn.Identity()
    seen = (footprint(conv, 8, 6, (2, 3)) > 0).nonzero().tolist()
    assert seen == [[row, column] for row in (1, 2, 3) for column in (2, 3, 4)]


def test_a_layer_that_may_take_extra_tokens_is_asked_for_its_map():
    torch.manual_seed(0)
    sizes = footprint(GlobalAttention(32), 32, 4, (1, 2))
    assert sizes.shape == (4, 4) and (sizes > 0).all() and sizes.argmax() == 6


def test_the_layer_is_left_as_it_is():
    layer = BlockAttention(32, 2)
    footprint(layer, 32, 4, (0, 0))
    assert layer.training and next(layer.parameters()).dtype == torch.float32
