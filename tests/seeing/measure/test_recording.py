"""What is recorded of an attention is what it did, and is laid where it belongs."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from explored import SMALL
from helpers import noise, randomize
from torch import nn

from minimaxvit import (
    BlockAttention,
    GridAttention,
    MaxViT,
    MBConv,
    maxvit,
)
from minimaxvit.seeing import record_attention
from minimaxvit.seeing.measure.recording import attention_maps
from minimaxvit.steps import Add, Attend, Part

BOTH = pytest.mark.parametrize("layer", [BlockAttention, GridAttention])


def recorded(layer, h, w, window, channels=64, b=1):
    layer = randomize(layer(channels, window))
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
def test_the_weights_times_the_values_are_what_forward_gives(precision, most):
    model = randomize(MaxViT(SMALL)).to(precision)
    named, given = model.layers(), {}
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
def test_the_product_of_the_supports_is_who_depends_on_whom(side, window, reached):
    supports = []
    for layer in (BlockAttention, GridAttention):
        _, _, attention = recorded(layer, side, side, window, channels=32)
        supports.append(attention.lift(attention.weights())[0, 0])
    block, grid = supports
    query = side // 2 * side + side // 2
    assert ((grid[query] @ block) > 0).sum() == reached


@BOTH
def test_scores_and_bias_can_be_had_apart(layer):
    layer, _, attention = recorded(layer, 8, 8, 4, b=2)
    bias = attention.weights(scores=False)
    assert torch.equal(bias, layer.attention.bias().softmax(-1)[:, None].expand_as(bias))
    scores = attention.weights(bias=False)
    torch.nn.init.zeros_(layer.attention.bias.table)
    with record_attention(layer) as maps:
        layer(noise(2, 64, 8, 8))
    torch.testing.assert_close(maps[""].weights(), scores)
    uniform = attention.weights(scores=False, bias=False)
    assert (uniform == 1 / 16).all()


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
    assert len(maps["1.1 GridAttention"].scores) == 2
    assert not any(each.scores.requires_grad or each.bias.requires_grad for each in maps.values())


def test_dense_tasks_are_recorded_too():
    model, images = MaxViT(SMALL), torch.randn(1, 3, 16, 16)
    with record_attention(model) as maps, torch.no_grad():
        model.features(images)
        assert len(maps) == 6 and maps["1.1 GridAttention"].stride == 4
        model(images=images)


def test_tokens_of_odd_sides_are_powers_of_two_apart():
    model = maxvit("hybrid").eval()
    with record_attention(model) as maps, torch.no_grad():
        model(torch.randn(1, 3, 13, 16))
    assert maps["2.1 BlockAttention"].stride == 4
    with record_attention(model.stages) as maps, torch.no_grad():
        x = model.stem(torch.randn(1, 3, 13, 16))
        model.stages[1](model.stages[0](x))
    assert maps["1.0.parts.1"].stride == 1  # it saw no image


def hooks(model):
    return sum(len(part._forward_pre_hooks) for part in model.modules())


def test_nothing_is_left_in_the_model_even_after_an_exception():
    model = MaxViT(SMALL)
    with pytest.raises(ValueError, match="not divisible"), record_attention(model) as maps:
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


@pytest.fixture
def vit():
    model, images = randomize(maxvit("vit")), noise(2, 3, 32, 32)
    with record_attention(model) as maps, torch.no_grad():
        model(images)
    return model, images, maps


def test_a_class_token_is_a_query_and_a_key(vit):
    model, _, maps = vit
    assert list(maps) == list(model.layers())[1:]
    attention = maps["1.3 GlobalAttention"]
    assert attention.scores.shape == (2, 4, 1, 65, 65) and attention.size == (8, 8)
    assert attention.queries.tolist() == attention.keys.tolist() == [list(range(65))]
    weights = attention.weights()
    lifted = attention.lift(weights)
    assert torch.equal(lifted, weights[:, :, 0])
    assert torch.equal(attention.row(64, weights), lifted[:, :, 64, :64].unflatten(-1, (8, 8)))
    assert torch.equal(attention.row((2, 3), weights), attention.row(19, weights))
    with pytest.raises(ValueError, match="query 65 is outside .* column 0 to 7, then 1 extra"):
        attention.row(65, weights)


def test_parts_that_run_around_forward_are_recorded_and_given_back(vit):
    model, images, maps = vit
    part = model.stages[0][0].parts[0]
    x = part.attention_norm(part.join(*model.stem.run(images)))  # (b, 1, t, c)
    value = part.attention.split_heads(part.attention.value(x))
    gathered = maps["1.1 GlobalAttention"].weights() @ value
    out = part.attention.output(rearrange(gathered, "b heads n t d -> b n t (heads d)"))
    torch.testing.assert_close(out, part.attention(x))
    with record_attention(model) as outer:
        with record_attention(model) as inner:
            pass
        model(images)
    assert inner == {} and len(outer) == 6
    with record_attention(part) as alone:
        part(noise(1, 128, 2, 2))  # without `run`, and without a class token
    assert alone[""].scores.shape == (1, 4, 1, 4, 4)
    assert not any("run" in vars(part) for part in model.modules())


class Nearest(Part):
    """Each token attends to those of its row beside it, with one query per group."""

    def __init__(self, dim):
        super().__init__()
        self.query, self.key = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, x):
        return x

    def scores(self, x):
        h, w = x.shape[2:]
        x = rearrange(x, "b c h w -> b (h w) c")
        keys = self.keys(h, w)
        scores = torch.einsum("bnc, bnsc -> bns", self.query(x), self.key(x)[:, keys])
        return scores[:, None, :, None], torch.zeros(1)  # (b, 1, n, 1, s)

    def keys(self, h, w):
        numbers = F.pad(torch.arange(h * w).view(h, w), (1, 1), value=-1)
        return numbers.unfold(1, 3, 1).reshape(h * w, 3)

    def steps(self):
        return (Add(((), (Attend(self.groups),))),)

    def groups(self, numbers, extra):
        h, w = numbers.shape[1:3]
        return numbers.view(-1, 1), self.keys(h, w)


def test_at_a_border_there_is_no_key():
    part = randomize(Nearest(8))
    with record_attention(part) as maps:
        part(noise(1, 8, 2, 3))
    attention = maps[""]
    weights = attention.weights()
    assert weights.shape == (1, 1, 6, 1, 3) and (weights[..., 0] > 0).sum() == 4
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 1, 6, 1).double())
    lifted = attention.lift(weights)[0, 0]
    assert (lifted > 0).sum(1).tolist() == [2, 3, 2] * 2
    assert lifted[0, 1] == weights[0, 0, 0, 0, 2] and lifted[4, 3] == weights[0, 0, 4, 0, 0]
    assert torch.equal(attention.row((1, 1), weights)[0, 0].flatten(), lifted[4])
    uniform = attention.weights(scores=False, bias=False)
    assert uniform[0, 0, :, 0, 1].tolist() == pytest.approx([1 / 2, 1 / 3, 1 / 2] * 2)


class FewQueries(Nearest):
    def scores(self, x):
        scores, bias = super().scores(x)
        return scores[:, :, :2], bias

    def groups(self, numbers, extra):
        return numbers.view(-1, 1)[:2], self.keys(*numbers.shape[1:3])[:2]


def test_a_parameter_is_recorded_as_it_was():
    part = randomize(Nearest(8))
    part.bias = nn.Parameter(torch.ones(3))
    scores = part.scores
    part.scores = lambda x: (scores(x)[0], part.bias)
    with record_attention(part) as maps:
        part(noise(1, 8, 2, 3))
    nn.init.zeros_(part.bias)
    assert maps[""].bias.tolist() == [1, 1, 1] and not maps[""].bias.requires_grad


def test_a_token_that_attends_to_nothing_is_no_query():
    part = randomize(FewQueries(8))
    with record_attention(part) as maps:
        part(noise(1, 8, 2, 3))
    attention = maps[""]
    with pytest.raises(ValueError, match=r"\(1, 0\) is no query of '': it attends to nothing"):
        attention.row((1, 0), attention.weights())


def test_scores_that_are_not_those_of_the_steps_are_refused():
    part = randomize(FewQueries(8))
    part.scores = super(FewQueries, part).scores
    with pytest.raises(
        ValueError, match="scores .1, 1, 6, 1, 3., but its steps name queries .2, 1"
    ):
        with record_attention(part):
            part(noise(1, 8, 2, 3))


def test_all_maps_can_be_had_at_once():
    model, images = maxvit("compact"), torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    maps = attention_maps(model, images)
    assert len(maps) == 5 and len(maps["1.1 GridAttention"].scores) == 2 and model.training
    assert attention_maps(maxvit("resnet"), images) == {}
