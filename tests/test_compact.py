"""The stem and the convolutions of compact, written out in single steps, and what it is made of."""

import pytest
import torch
import torch.nn.functional as F
from helpers import noise, randomise
from test_mbconv import normalised

from minimaxvit import (
    CONFIGS,
    MAX_SA,
    BlockAttention,
    FullStem,
    MaxViT,
    MaxViTBlock,
    PooledConvs,
)


@pytest.mark.parametrize("training", [False, True])
def test_the_stem_is_its_steps_written_out(training):
    stem = randomise(FullStem(8)).train(training)
    images = noise(2, 3, 5, 6)
    x = F.conv2d(images, stem.conv1.weight, stem.conv1.bias, padding=1)
    torch.testing.assert_close(stem(images), F.gelu(normalised(x, stem.norm)))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_convolutions_are_their_steps_written_out(stride, training):
    part = randomise(PooledConvs(4, 6, stride, expansion=2, drop_rate=0.5)).train(training)
    x = noise(3, 4, 8, 6)
    y = F.conv2d(x, part.conv1.weight, padding=1)
    if stride == 2:
        y = y.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).amax((3, 5))
    y = F.conv2d(F.gelu(normalised(y, part.norm1)), part.conv2.weight, padding=1)
    torch.testing.assert_close(part(x), F.gelu(normalised(y, part.norm2)))


def test_an_odd_side_keeps_its_last_row():
    part = randomise(PooledConvs(2, 2, stride=2)).eval()
    x = noise(1, 2, 7, 5)
    padded = F.pad(part.conv1(x), (0, 1, 0, 1), value=-torch.inf)
    y = part.conv2(F.gelu(normalised(F.max_pool2d(padded, 2), part.norm1)))
    assert part(x).shape == (1, 2, 4, 3)
    torch.testing.assert_close(part(x), F.gelu(normalised(y, part.norm2)))


def test_in_a_block_it_strides_and_widens_as_mbconv_does():
    block = MaxViTBlock(16, 32, 4, 2, (PooledConvs, PooledConvs, *MAX_SA))
    assert [type(part) for part in block.parts] == [PooledConvs, PooledConvs, *MAX_SA]
    assert [part.stride for part in block.parts[:2]] == [2, 1]
    assert block(torch.randn(2, 16, 16, 16)).shape == (2, 32, 8, 8)


def test_attention_before_it_sees_the_fine_map():
    block = MaxViTBlock(32, 64, 4, 2, (BlockAttention, PooledConvs))
    assert block.parts[0].attention_norm.normalized_shape == (32,)
    assert block(torch.randn(2, 32, 8, 8)).shape == (2, 64, 4, 4)


def test_compact_has_both_attentions_where_they_differ_and_nowhere_else():
    config = CONFIGS["compact"]
    model = MaxViT(config)
    images = torch.zeros(1, 3, 32, 32)
    assert model.stem(images).shape == (1, 24, 32, 32)
    maps = [tuple(x.shape[1:]) for x in model.features(images)]
    assert maps == [(64, 16, 16), (96, 8, 8), (288, 4, 4)] and config.window == 4
    assert not {*MAX_SA} & set(config.parts[0])
    assert {*MAX_SA} <= set(config.parts[1])
    assert not {*MAX_SA} & set(config.parts[2])


def test_a_token_of_the_last_map_stands_for_so_many_pixels():
    assert {name: config.stride for name, config in CONFIGS.items()} == {
        **dict.fromkeys(("tiny", "small", "base", "large", "xlarge"), 32),
        "compact": 8,
    }


def test_only_attention_asks_for_maps_that_divide():
    config = CONFIGS["compact"].__class__((1, 1), (32, 32), 32, 4, 2 * ((PooledConvs,),))
    assert MaxViT(config)(torch.zeros(1, 3, 37, 41)).shape == (1, 1000)
