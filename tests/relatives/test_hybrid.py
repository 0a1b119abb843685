"""The hybrid's stem and convolutions, written out in single steps, and what it is made of."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import measured_reads, noise, normalized, randomize, said_reads

from minimaxvit import (
    CONFIGS,
    MAX_SA,
    BlockAttention,
    GridAttention,
    MaxViT,
    MaxViTBlock,
    load,
    maxvit,
    save,
)
from minimaxvit.layers import gelu
from minimaxvit.relatives import CONVOLUTIONS, HYBRID, ConvStem, PooledConvs

SMALL = replace(HYBRID, dims=(8, 32, 48), stem_dim=4, window=2)


def stem_steps(stem, images):
    x = F.conv2d(images, stem.conv1.weight, stem.conv1.bias, padding=1)
    return F.gelu(normalized(x, stem.norm))


def conv_steps(part, x, stride):
    y = F.conv2d(x, part.conv1.weight, padding=1)
    if stride == 2:
        y = y.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).amax((3, 5))
    y = F.conv2d(F.gelu(normalized(y, part.norm1)), part.conv2.weight, padding=1)
    return F.gelu(normalized(y, part.norm2))


@pytest.mark.parametrize("training", [False, True])
def test_the_stem_is_its_steps_written_out(training):
    stem = randomize(ConvStem(8, 1)).train(training)
    images = noise(2, 3, 5, 6)
    torch.testing.assert_close(stem(images), stem_steps(stem, images))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_convolutions_are_their_steps_written_out(stride, training):
    part = randomize(PooledConvs(4, 6, stride)).train(training)
    x = noise(3, 4, 8, 6)
    torch.testing.assert_close(part(x), conv_steps(part, x, stride))


def test_an_odd_side_keeps_its_last_row():
    part = randomize(PooledConvs(2, 2, stride=2))
    x = noise(1, 2, 7, 5)
    padded = F.pad(part.conv1(x), (0, 1, 0, 1), value=-torch.inf)
    y = part.conv2(F.gelu(normalized(F.max_pool2d(padded, 2), part.norm1)))
    assert part(x).shape == (1, 2, 4, 3)
    torch.testing.assert_close(part(x), F.gelu(normalized(y, part.norm2)))


def test_the_network_is_its_parts_in_order_and_its_ffn_has_the_tanh_gelu():
    model, images = randomize(MaxViT(SMALL)), noise(2, 3, 16, 16)
    first, second, third = (stage[0].parts for stage in model.stages)
    x = conv_steps(second[0], conv_steps(first[0], stem_steps(model.stem, images), 2), 2)
    for layer in second[1:]:
        y = x.permute(0, 2, 3, 1)
        y = y + layer.attend(layer.attention_norm(y))
        ffn = layer.feed_forward
        y = y + ffn.shrink(gelu(ffn.expand(layer.feed_forward_norm(y))))
        x = y.permute(0, 3, 1, 2)
    x = conv_steps(third[0], x, 2)
    torch.testing.assert_close(model.features(images)[-1], x)
    torch.testing.assert_close(model(images), model.head(x))


@pytest.mark.parametrize("h, w", [(6, 4), (5, 7)])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_convolutions_read_what_their_steps_say(stride, h, w):
    """A max pool passes one of four, and for some image any of them."""
    part = randomize(PooledConvs(2, 3, stride))
    said = said_reads(part.steps(), h, w)
    maps = [measured_reads(part.run, noise(1, 2, h, w, seed=seed)) for seed in range(60)]
    assert all((reads <= said).all() for reads in maps)
    assert torch.equal(torch.stack(maps).any(0), said)


def test_a_max_pool_reads_all_four_though_it_passes_one():
    part = randomize(PooledConvs(1, 1, stride=2))
    pools = [
        measured_reads(lambda x: (part.pool(x),), noise(1, 1, 2, 2, seed=i)) for i in range(40)
    ]
    assert all(reads.sum() == 1 for reads in pools)
    assert torch.stack(pools).any(0).all() and said_reads(part.steps()[1:2], 2, 2).all()


def test_the_stem_reads_what_its_steps_say():
    for stride in (1, 2):
        stem = randomize(ConvStem(4, stride))
        reads = measured_reads(stem.run, noise(1, 3, 5, 4))
        assert stem.stride == stride
        assert torch.equal(reads, said_reads(stem.steps(), 5, 4))


def test_in_a_block_they_stride_and_widen_as_mbconv_does():
    block = MaxViTBlock(16, 32, 2, (PooledConvs, PooledConvs, *MAX_SA), window=4)
    assert [type(part) for part in block.parts] == [PooledConvs, PooledConvs, *MAX_SA]
    assert [part.stride for part in block.parts[:2]] == [2, 1]
    assert block(torch.randn(2, 16, 16, 16)).shape == (2, 32, 8, 8)


def test_attention_before_them_sees_the_fine_map():
    block = MaxViTBlock(32, 64, 2, (BlockAttention, PooledConvs), window=4)
    assert block.parts[0].attention_norm.normalized_shape == (32,)
    assert block(torch.randn(2, 32, 8, 8)).shape == (2, 64, 4, 4)


def test_it_has_both_attentions_where_they_differ_and_nowhere_else():
    model, images = MaxViT(HYBRID), torch.zeros(1, 3, 32, 32)
    assert model.stem(images).shape == (1, 24, 32, 32)
    maps = [tuple(x.shape[1:]) for x in model.features(images)]
    assert maps == [(64, 16, 16), (96, 8, 8), (288, 4, 4)]
    assert HYBRID.parts == ((PooledConvs,), (PooledConvs, *MAX_SA), (PooledConvs,))
    assert CONVOLUTIONS == replace(HYBRID, window=None, parts=3 * ((PooledConvs,),))


def test_only_attention_asks_for_maps_that_divide():
    assert maxvit("convolutions")(torch.zeros(1, 3, 37, 41)).shape == (1, 10)
    told = "a map of 10 x 8 tokens, which is not divisible by 4; .* width 32"
    with pytest.raises(ValueError, match=told):
        maxvit("hybrid")(torch.zeros(1, 3, 40, 32))


@pytest.mark.parametrize("name, parameters", [("hybrid", 1_386_272), ("convolutions", 1_273_466)])
def test_the_named_networks_have_their_size_and_classify(name, parameters):
    model = maxvit(name).eval()
    assert model.config == CONFIGS[name] in (HYBRID, CONVOLUTIONS)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_printed_it_shows_heads_and_windows():
    shown = str(maxvit("hybrid"))
    assert shown.count("window=4") == 2 and shown.count("heads=3, head_dim=32") == 2


@pytest.mark.parametrize("config", [SMALL, replace(CONVOLUTIONS, dims=(4, 4, 4))])
def test_a_saved_network_comes_back(config, tmp_path):
    model, images = randomize(MaxViT(config)).float(), noise(2, 3, 16, 16).float()
    save(model, tmp_path / "hybrid")
    loaded = load(tmp_path / "hybrid")
    assert loaded.config == config and torch.equal(loaded(images), model(images))
    assert {type(part) for part in loaded.modules()} >= {PooledConvs, ConvStem}
    assert (GridAttention in map(type, loaded.modules())) is (config is SMALL)
