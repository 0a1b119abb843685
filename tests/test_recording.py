"""What is written down of an attention is what it did, and is laid where it belongs."""

from dataclasses import replace

import pytest
import torch
from einops import rearrange
from helpers import noise, randomise

from minimaxvit import (
    MAXVIT,
    BlockAttention,
    GridAttention,
    MaxViT,
    MaxViTConfig,
    MBConv,
    maxvit,
)
from minimaxvit.seeing import record_attention
from minimaxvit.seeing.field import layers

SMALL = MaxViTConfig((1, 2), (32, 64), 8, window=2, num_classes=3, parts=2 * (MAXVIT,))
BOTH = pytest.mark.parametrize("layer", [BlockAttention, GridAttention])


def recorded(layer, h, w, window, channels=64, b=1):
    layer = randomise(layer(channels, window))
    x = noise(b, channels, h, w)
    with record_attention(layer) as maps:
        layer(x)
    return layer, x, maps[""]


def by_coordinates(layer, x):
    """Attention among all tokens, but for those that share no group: (b, heads, h * w, h * w)."""
    (h, w), p = x.shape[2:], layer.window
    row, column = torch.arange(h * w) // w, torch.arange(h * w) % w
    if isinstance(layer, BlockAttention):
        group, slot = (row // p, column // p), (row % p, column % p)
    else:
        group, slot = (row % (h // p), column % (w // p)), (row // (h // p), column // (w // p))
    met = (group[0] == group[0][:, None]) & (group[1] == group[1][:, None])
    down, right = (each[None, :] - each[:, None] for each in slot)  # key minus query
    tokens = layer.attention_norm(x.permute(0, 2, 3, 1)).flatten(1, 2)  # (b, h * w, c)
    query, key = (
        rearrange(project(tokens), "b t (heads d) -> b heads t d", d=32)
        for project in (layer.attention.query, layer.attention.key)
    )
    scores = query @ key.mT / 32**0.5
    scores = (
        scores
        + layer.attention.bias.table[
            :, (down + p - 1).clamp(0, 2 * p - 2), (right + p - 1).clamp(0, 2 * p - 2)
        ]
    )
    return scores.masked_fill(~met, -torch.inf).softmax(-1)


@BOTH
@pytest.mark.parametrize("h, w, window", [(6, 6, 2), (8, 12, 4), (12, 8, 2), (4, 4, 4)])
def test_lifted_it_is_attention_among_all_tokens_that_share_a_group(layer, h, w, window):
    layer, x, attention = recorded(layer, h, w, window, b=2)
    lifted = attention.lift(attention.weights())
    torch.testing.assert_close(lifted, by_coordinates(layer, x))
    assert ((lifted > 0).sum(-1) == window**2).all()
    torch.testing.assert_close(lifted.sum(-1), torch.ones_like(lifted[..., 0]))


@BOTH
def test_a_row_is_that_of_the_whole(layer):
    _, _, attention = recorded(layer, 8, 12, 4)
    lifted = attention.lift(attention.weights())
    for query in [(0, 0), (3, 7), (7, 11)]:
        row = attention.row(query, attention.weights())
        assert torch.equal(row, lifted[:, :, query[0] * 12 + query[1]].unflatten(-1, (8, 12)))


@pytest.mark.parametrize("precision, most", [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_the_weights_times_the_values_are_what_the_fused_function_gives(precision, most):
    model = randomise(MaxViT(SMALL)).to(precision)
    named, given = layers(model), {}
    for name, part in named.items():
        if hasattr(part, "attention"):
            part.attention.register_forward_hook(
                lambda _, inputs, out, name=name: given.update({name: (inputs[0], out)})
            )
    with record_attention(model) as maps, torch.no_grad():
        model(noise(2, 3, 32, 16).to(precision))
    assert list(maps) == list(given) and len(maps) == 6
    for name, (groups, out) in given.items():
        attention = named[name].attention
        value = rearrange(attention.value(groups), "b n t (heads d) -> b heads n t d", d=32)
        gathered = rearrange(maps[name].weights() @ value, "b heads n t d -> b n t (heads d)")
        assert (attention.output(gathered) - out).abs().max() < most * out.abs().max()


def test_to_record_changes_nothing():
    model, images = maxvit("compact").eval(), torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        before = model(images)
        with record_attention(model):
            assert torch.equal(model(images), before)


@pytest.mark.parametrize("side, window, reached", [(16, 4, 256), (32, 4, 256), (56, 7, 2401)])
def test_the_product_of_the_supports_is_who_hears_of_whom(side, window, reached):
    supports = []
    for layer in (BlockAttention, GridAttention):
        _, _, attention = recorded(layer, side, side, window, channels=32)
        supports.append(attention.lift(attention.weights())[0, 0])
    block, grid = supports
    query = side // 2 * side + side // 2
    assert ((grid[query] @ block) > 0).sum() == reached


@BOTH
def test_content_and_position_can_be_had_apart(layer):
    layer, _, attention = recorded(layer, 8, 8, 4, b=2)
    position = attention.weights(content=False)
    assert torch.equal(position, layer.attention.bias().softmax(-1)[:, None].expand_as(position))
    content = attention.weights(position=False)
    torch.nn.init.zeros_(layer.attention.bias.table)
    with record_attention(layer) as maps:
        layer(noise(2, 64, 8, 8))
    torch.testing.assert_close(maps[""].weights(), content)
    even = attention.weights(content=False, position=False)
    assert (even == 1 / 16).all()


def test_maps_have_the_size_and_the_pixels_of_their_layer():
    model = MaxViT(replace(SMALL, parts=2 * ((MBConv, GridAttention),)))
    with record_attention(model) as maps:
        model(torch.randn(1, 3, 32, 64))
        model(torch.randn(2, 3, 16, 32))  # the last call counts
    assert {name: (each.size, each.stride) for name, each in maps.items()} == {
        "1.1 GridAttention": ((4, 8), 4),
        "2.1 GridAttention": ((2, 4), 8),
        "2.2 GridAttention": ((2, 4), 8),
    }
    assert len(maps["1.1 GridAttention"].content) == 2
    assert not any(each.content.requires_grad or each.bias.requires_grad for each in maps.values())


def test_dense_tasks_are_recorded_too():
    model, images = MaxViT(SMALL), torch.randn(1, 3, 16, 16)
    with record_attention(model) as maps, torch.no_grad():
        model.features(images)
        assert len(maps) == 6 and maps["1.1 GridAttention"].stride == 4
        model(images=images)


def test_tokens_of_odd_sides_are_powers_of_two_apart():
    model = maxvit("compact").eval()
    with record_attention(model) as maps, torch.no_grad():
        model(torch.randn(1, 3, 13, 16))
    assert maps["2.1 BlockAttention"].stride == 4


def hooks(model):
    return sum(len(part._forward_pre_hooks) for part in model.modules())


def test_nothing_is_left_in_the_model_even_after_an_exception():
    model = MaxViT(SMALL)
    with pytest.raises(ValueError, match="does not divide"), record_attention(model) as maps:
        assert hooks(model) == 1 + 6
        model(torch.randn(1, 3, 20, 20))
    assert hooks(model) == 0 and maps == {}


def test_where_there_is_no_attention_it_says_so():
    with pytest.raises(ValueError, match="Conv2d has no attention to record"):
        with record_attention(torch.nn.Conv2d(3, 3, 1)):
            pass


@pytest.mark.parametrize("query", [(8, 0), (0, 12), (-1, 0)])
def test_a_query_outside_the_map_is_refused(query):
    _, _, attention = recorded(BlockAttention, 8, 12, 4)
    with pytest.raises(ValueError, match="outside .* 8 x 12 tokens: row 0 to 7, column 0 to 11"):
        attention.row(query, attention.weights())
