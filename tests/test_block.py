"""Max-SA as masked attention over the whole map, how far it reaches, and blocks of any parts."""

from itertools import permutations

import pytest
import torch
import torch.nn.functional as F
from helpers import noise, randomize

from minimaxvit import (
    MAX_SA,
    MAXVIT_PARTS,
    BlockAttention,
    FeedForward,
    GridAttention,
    MaxViTBlock,
    MBConv,
    block_partition,
    grid_partition,
)
from minimaxvit.layers import StochasticDepth, gelu
from minimaxvit.mbconv import Downsample

both = pytest.mark.parametrize("kind", [BlockAttention, GridAttention])
ORDERS = [order for length in range(4) for order in permutations(MAXVIT_PARTS, length)]


def group_and_place(kind, side, row, rows):
    """On one axis: which group a row is in, and its place within the group."""
    cell = rows // side
    return divmod(row, side) if kind is BlockAttention else (row % cell, row // cell)


def over_the_whole_map(layer, x):
    """The layer with attention among all h * w tokens, shut by -inf between groups."""
    kind, side, attention = type(layer), layer.window, layer.attention
    b, c, h, w = x.shape
    tokens = x.flatten(2).transpose(1, 2)  # (b, h * w, c)
    heads = c // 32

    mask = torch.full((heads, h * w, h * w), -torch.inf, dtype=x.dtype)
    for query in range(h * w):
        for key in range(h * w):
            offset = []
            for one, other, sides in zip(divmod(query, w), divmod(key, w), (h, w), strict=True):
                group, place = group_and_place(kind, side, one, sides)
                other_group, other_place = group_and_place(kind, side, other, sides)
                if group == other_group:
                    offset.append(other_place - place + side - 1)
            if len(offset) == 2:
                mask[:, query, key] = attention.bias.table[:, offset[0], offset[1]]

    norm = layer.attention_norm
    y = F.layer_norm(tokens, (c,), norm.weight, norm.bias, eps=1e-5)
    q, k, v = (
        project(y).view(b, h * w, heads, 32).transpose(1, 2)  # (b, heads, h * w, 32)
        for project in (attention.query, attention.key, attention.value)
    )
    y = torch.softmax(q @ k.transpose(2, 3) / 32**0.5 + mask, -1) @ v
    tokens = tokens + attention.output(y.transpose(1, 2).flatten(2))

    norm, feed_forward = layer.feed_forward_norm, layer.feed_forward
    y = F.layer_norm(tokens, (c,), norm.weight, norm.bias, eps=1e-5)
    y = F.gelu(feed_forward.expand(y), approximate="tanh")
    tokens = tokens + feed_forward.shrink(y)
    return tokens.transpose(1, 2).view(b, c, h, w)


def joined(partition, h, side):
    """Which tokens of an h x h map share a group: ones in a (h * h, h * h) matrix."""
    ones = torch.zeros(h * h, h * h)
    for group in partition(torch.arange(h * h).view(1, h, h, 1), side)[0, :, :, 0]:
        ones[group[:, None], group] = 1
    return ones


def paths(h, p):
    """How many ways lead from each token to each through a block and then a grid group."""
    return joined(grid_partition, h, p) @ joined(block_partition, h, p)


def reached(layers, h, tokens):
    """From the gradients: how many tokens of an h x h map each of some outputs depends on."""
    x = noise(1, 32, h, h).expand(len(tokens), -1, -1, -1).clone().requires_grad_()
    y = layers(x).flatten(2)[torch.arange(len(tokens)), :, tokens]  # another output per copy
    (gradient,) = torch.autograd.grad((y * noise(32, seed=2)).sum(), x)
    return (gradient != 0).any(1).sum((1, 2)).tolist()


def pair(p, seed=0):
    """Attention alone: one block attention and one grid attention, everything in them random."""
    return randomize(torch.nn.Sequential(BlockAttention(32, p), GridAttention(32, p)), seed)


@both
@pytest.mark.parametrize("h, w, p", [(4, 4, 2), (4, 6, 2), (9, 6, 3), (4, 4, 4), (3, 2, 1)])
def test_the_layer_is_masked_attention_over_the_whole_map(kind, h, w, p):
    layer = randomize(kind(64, p))
    x = noise(2, 64, h, w)
    torch.testing.assert_close(layer(x), over_the_whole_map(layer, x))


def commutes(layer, x, *shift):
    shifted_first = layer(x.roll(shift, (2, 3)))
    return torch.allclose(shifted_first, layer(x).roll(shift, (2, 3)), rtol=0, atol=1e-9)


def unbiased(layer):
    torch.nn.init.zeros_(layer.attention.bias.table)
    return layer


def test_without_bias_grid_attention_commutes_with_every_cyclic_shift():
    layer, x = unbiased(randomize(GridAttention(32, 2))), noise(1, 32, 4, 6)
    assert all(commutes(layer, x, down, right) for down in range(4) for right in range(6))


def test_with_bias_grid_attention_commutes_with_no_shift():
    # Beyond a cell's end a token takes another place in its group, and the bias is not cyclic.
    layer, x = randomize(GridAttention(32, 2)), noise(1, 32, 4, 6)
    shifts = [(down, right) for down in range(4) for right in range(6)]
    assert [shift for shift in shifts if commutes(layer, x, *shift)] == [(0, 0)]


@pytest.mark.parametrize("bias", [False, True])
def test_block_attention_commutes_with_shifts_by_whole_windows_only(bias):
    layer, x = randomize(BlockAttention(32, 2)), noise(1, 32, 4, 6)
    layer = layer if bias else unbiased(layer)
    for down in range(4):
        for right in range(6):
            whole = down % 2 == 0 and right % 2 == 0
            assert commutes(layer, x, down, right) == whole, (down, right)


@pytest.mark.parametrize("h, share, some", [(8, 64, 64), (16, 256, 32), (32, 256, 16)])
def test_one_pair_of_four_reaches_as_far_as_the_facts_say(h, share, some):
    tokens = torch.linspace(0, h * h - 1, some).long()
    assert reached(pair(4), h, tokens) == [share] * some


def test_a_second_pair_adds_nothing_where_the_first_reaches_a_regular_part():
    twice = torch.nn.Sequential(pair(4), pair(4, seed=1))
    assert reached(twice, 32, torch.tensor([0, 500, 1023])) == [256] * 3


def test_the_first_stage_at_224_pixels_is_joined_by_two_pairs_not_by_one():
    tokens = torch.tensor([0, 1543, 3135])
    assert reached(pair(7), 56, tokens) == [2401] * 3
    twice = torch.nn.Sequential(pair(7), pair(7, seed=1))
    assert reached(twice, 56, tokens) == [3136] * 3


@pytest.mark.parametrize("h, p, counts", [(16, 4, {1}), (8, 4, {4}), (32, 4, {0, 1})])
def test_a_pair_joins_two_tokens_by_so_many_paths(h, p, counts):
    assert set(paths(h, p).unique().tolist()) == counts


@pytest.mark.parametrize("h", range(1, 17))
def test_one_pair_joins_all_exactly_where_block_times_grid_is_no_less_than_the_map(h):
    for p in (p for p in range(1, h + 1) if h % p == 0):
        assert (paths(h, p) > 0).sum(1).eq(min(p * p, h) ** 2).all()


def test_feed_forward_is_two_layers_around_tanh_gelu():
    layer = randomize(FeedForward(6, 3))
    x = noise(2, 4, 5, 6)
    widened = F.linear(x, layer.expand.weight, layer.expand.bias)
    expected = F.linear(F.gelu(widened, approximate="tanh"), layer.shrink.weight, layer.shrink.bias)
    torch.testing.assert_close(layer(x), expected)
    assert widened.shape[-1] == 18 and FeedForward(6).expand.out_features == 24


def seen_by_parts(block, x):
    """What kind each part of a block is, and the (c, h, w) of the map that it gets."""
    seen = []
    for part in block.parts:
        part.register_forward_hook(
            lambda part, maps, _: seen.append((type(part), *maps[0].shape[1:]))
        )
    return seen, block(x)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("parts", ORDERS)
def test_parts_come_in_any_order_and_any_are_left_out(parts, stride):
    block = MaxViTBlock(32, 64, stride, parts, window=2)
    seen, out = seen_by_parts(block, torch.randn(2, 32, 8, 4))
    coarse = 64, 8 // stride, 4 // stride

    assert out.shape == (2, *coarse)
    # What comes before the first MBConv still sees the fine map.
    first = parts.index(MBConv) if MBConv in parts else -1
    expected = [(part, *((32, 8, 4) if i <= first else coarse)) for i, part in enumerate(parts)]
    assert seen == ([] if MBConv in parts else [(Downsample, 32, 8, 4)]) + expected


def test_only_the_first_of_two_mbconvs_strides():
    seen, out = seen_by_parts(MaxViTBlock(32, 64, 2, (MBConv, MBConv)), torch.randn(1, 32, 8, 8))
    assert seen == [(MBConv, 32, 8, 8), (MBConv, 64, 4, 4)] and out.shape == (1, 64, 4, 4)


def test_a_block_without_mbconv_pools_and_projects_before_the_rest():
    block = randomize(MaxViTBlock(32, 64, 2, (GridAttention,), window=2))
    x = noise(2, 32, 8, 4)
    project, grid = block.parts[0].project, block.parts[1]
    expected = grid(F.conv2d(F.avg_pool2d(x, 2), project.weight, project.bias))
    torch.testing.assert_close(block(x), expected)


def test_a_block_with_nothing_to_do_is_empty():
    x = torch.randn(1, 32, 4, 4)
    assert torch.equal(MaxViTBlock(32, 32, parts=())(x), x)


def test_expansion_reaches_mbconv_and_both_feed_forwards():
    conv, block, grid = MaxViTBlock(32, 64, window=2, expansion=3).parts
    assert conv.expand.out_channels == 192
    assert block.feed_forward.expand.out_features == grid.feed_forward.expand.out_features == 192


def test_every_residual_of_a_block_is_dropped_at_the_one_rate():
    block = MaxViTBlock(32, 32, window=2, drop_path=1 - 1e-6).train()
    rates = [part.rate for part in block.modules() if isinstance(part, StochasticDepth)]
    assert rates == [1 - 1e-6] * 3
    x = torch.randn(4, 32, 4, 4)
    assert torch.equal(block(x), x)  # all five of them


def test_a_block_drops_its_five_residuals_each_by_itself():
    drawn = []
    block = MaxViTBlock(32, 32, window=2, drop_path=0.5).train()
    for part in block.modules():
        if isinstance(part, StochasticDepth):
            part.register_forward_hook(
                lambda _, branch, left: drawn.append(left.eq(0).flatten(1).all(1).tolist())
            )
    torch.manual_seed(0)
    block(torch.randn(32, 32, 4, 4))
    assert len(drawn) == 5 and len(set(map(tuple, drawn))) == 5


@both
def test_attention_refuses_a_map_that_does_not_divide(kind):
    with pytest.raises(ValueError, match="8 x 6 tokens is not divisible by 4"):
        kind(32, 4)(torch.zeros(1, 32, 8, 6))


@pytest.mark.parametrize("parts", ORDERS)
def test_channels_last_stays_channels_last(parts):
    x = torch.randn(2, 32, 8, 4).to(memory_format=torch.channels_last)
    block = MaxViTBlock(32, 64, 2, parts, window=2).to(memory_format=torch.channels_last)
    assert block(x).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", MAX_SA)
def test_defaults_are_the_paper_s_and_what_is_given_reaches_the_feed_forward(kind):
    plain, other = kind(32, 2), kind(32, 2, expansion=3, drop_path=0.5, activation=torch.relu)
    assert plain.feed_forward.expand.out_features == 4 * 32 and plain.drop.rate == 0
    assert plain.feed_forward.activation is gelu
    assert other.feed_forward.expand.out_features == 3 * 32 and other.drop.rate == 0.5
    assert other.feed_forward.activation is torch.relu
