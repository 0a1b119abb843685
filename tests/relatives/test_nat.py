"""Neighborhood attention against a loop over its formula, and against PyTorch's own kernel."""

from dataclasses import replace

import pytest
import torch
from helpers import noise, randomize, said_reads
from relatives.proofs import follows, multiply_adds, reads
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from minimaxvit import CONFIGS, MaxViT, load, maxvit, save
from minimaxvit.relatives import NAT, NeighborhoodAttention, neighborhoods

MAPS = pytest.mark.parametrize("h, w, window", [(7, 7, 3), (5, 9, 5), (6, 4, 4), (3, 8, 3)])


def layer_of(dim, window, **options):
    return randomize(NeighborhoodAttention(dim, window, **options))


def projected(layer, x):
    """Query, key and value by row and column: (heads, h, w, d) each."""
    return [
        f(x)[0].unflatten(-1, (-1, 32)).permute(2, 0, 1, 3)
        for f in (layer.attention.query, layer.attention.key, layer.attention.value)
    ]


def looped(layer, x, first=lambda i, n, p: min(max(i - p // 2, 0), n - p)):
    """The formula, one token of one head after the other: (1, h, w, c) -> (1, h, w, c)."""
    query, key, value = projected(layer, x)
    (heads, h, w, d), p, table = query.shape, layer.window, layer.attention.bias.table
    out = torch.zeros(1, h, w, heads, d, dtype=x.dtype)
    for head, i, j in torch.cartesian_prod(*map(torch.arange, (heads, h, w))).tolist():
        top, left = first(i, h, p), first(j, w, p)
        near = [
            (a, b)
            for a in range(top, top + p)
            for b in range(left, left + p)
            if 0 <= a < h and 0 <= b < w
        ]
        logits = [
            query[head, i, j] @ key[head, a, b] / d**0.5 + table[head, a - i + p - 1, b - j + p - 1]
            for a, b in near
        ]
        for weight, (a, b) in zip(torch.stack(logits).softmax(0), near, strict=True):
            out[0, i, j, head] += weight * value[head, a, b]
    return layer.attention.output(out.flatten(3))


def compared_by_kernel(layer, x):
    """PyTorch's FlexAttention, told which pairs are neighbors by the distance from the center."""
    query, key, value = projected(layer, x)
    (heads, h, w, d), p, table = query.shape, layer.window, layer.attention.bias.table

    def center(i, side):
        return i.clamp(p // 2, side - 1 - (p - 1) // 2)

    def near(b, head, i, j):
        down, right = j // w - center(i // w, h), j % w - center(i % w, w)
        return (
            (down >= -(p // 2)) & (down < p - p // 2) & (right >= -(p // 2)) & (right < p - p // 2)
        )

    def with_bias(score, b, head, i, j):
        down, right = j // w - i // w + p - 1, j % w - i % w + p - 1
        return score + table[head, down.clamp(0, 2 * p - 2), right.clamp(0, 2 * p - 2)]

    mask = create_block_mask(near, 1, heads, h * w, h * w, device="cpu")
    flat = [each.flatten(1, 2)[None] for each in (query, key, value)]
    out = flex_attention(*flat, score_mod=with_bias, block_mask=mask)  # (1, heads, n, d)
    return layer.attention.output(out[0].transpose(0, 1).flatten(1).view(1, h, w, heads * d))


@MAPS
def test_attention_is_the_formula_in_a_loop(h, w, window):
    layer, x = layer_of(64, window), noise(1, h, w, 64)
    torch.testing.assert_close(layer.attend(x), looped(layer, x), rtol=0, atol=1e-9)


@MAPS
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@torch.no_grad()
def test_attention_is_that_of_pytorchs_flex_attention(h, w, window):
    layer, x = layer_of(64, window), noise(1, h, w, 64)
    torch.testing.assert_close(layer.attend(x), compared_by_kernel(layer, x), rtol=0, atol=1e-9)


def test_a_layer_norms_attends_and_transforms_each_image_by_itself():
    layer, x = layer_of(32, 3, expansion=2), noise(2, 32, 4, 5)
    y = x.permute(0, 2, 3, 1)
    z = layer.attention_norm(y)
    y = y + torch.cat([looped(layer, each[None]) for each in z])
    y = y + layer.feed_forward(layer.feed_forward_norm(y))
    torch.testing.assert_close(layer(x), y.permute(0, 3, 1, 2), rtol=0, atol=1e-9)


def test_a_window_as_wide_as_the_map_is_block_attention():
    layer, x = layer_of(64, 4), noise(2, 4, 4, 64)
    expected = layer.attention(x.flatten(1, 2)[:, None]).view(2, 4, 4, 64)
    torch.testing.assert_close(layer.attend(x), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("h, w, window", [(6, 6, 3), (5, 8, 3), (7, 8, 7)])
def test_a_layer_reads_exactly_its_window_even_in_a_corner(h, w, window):
    found = reads(layer_of(32, window, expansion=1), 32, h, w)
    assert (found.sum(1) == window**2).all()
    corner = found[0].view(h, w)
    assert corner[:window, :window].all() and corner.sum() == window**2


@pytest.mark.parametrize("window, layers", [(3, 14), (7, 4)])
def test_so_many_layers_see_the_whole_map(window, layers):
    steps = NeighborhoodAttention(32, window).steps()
    assert not said_reads(steps * (layers - 1), 16, 16).all()
    assert said_reads(steps * layers, 16, 16).all()


@pytest.mark.parametrize("side, millions", [(8, 1.45), (16, 5.80), (32, 23.2)])
def test_the_cost_grows_with_the_number_of_tokens(side, millions):
    layer, n, c = layer_of(64, 7, expansion=2), side**2, 64
    attention, feed_forward = 4 * n * c**2 + 2 * n * 7**2 * c, 2 * n * c * (2 * c)
    assert multiply_adds(layer, c, side, side) == attention + feed_forward
    assert attention / 1e6 == pytest.approx(millions, rel=5e-3)


def test_it_follows_shifts_but_not_across_borders():
    layer, x, inner = layer_of(32, 3), noise(1, 32, 9, 9), slice(3, 7)
    shifted = layer(x.roll((1, 1), (2, 3)))
    torch.testing.assert_close(shifted[..., 4:7, 4:7], layer(x)[..., 3:6, 3:6], rtol=0, atol=1e-9)
    assert not torch.allclose(
        shifted[..., :2, inner], layer(x).roll((1, 1), (2, 3))[..., :2, inner]
    )
    assert not follows(layer, 32, 9, 9, 1, 0) and not follows(layer, 32, 9, 9, 3, 3)


def test_a_window_that_is_padded_and_not_clamped_is_another_thing():
    layer, x = layer_of(32, 3), noise(1, 5, 5, 32)
    padded = looped(layer, x, first=lambda i, n, p: i - p // 2)
    ours = layer.attend(x)
    torch.testing.assert_close(padded[:, 1:-1, 1:-1], ours[:, 1:-1, 1:-1], rtol=0, atol=1e-9)
    assert (padded - ours).abs()[:, 0].max() > 1e-3


def test_scaling_the_bias_with_the_scores_is_another_thing():
    class ScalesBoth(NeighborhoodAttention):
        def compare(self, x):
            scores, bias = super().compare(x)
            return scores, bias * self.attention.head_dim**-0.5

    wrong, x = randomize(ScalesBoth(32, 3)), noise(1, 5, 5, 32)
    assert (wrong.attend(x) - looped(wrong, x)).abs().max() > 1e-3


def test_a_bias_that_forgets_where_the_token_stands_in_its_window_is_wrong_at_borders_alone():
    class AlwaysInTheMiddle(NeighborhoodAttention):
        def compare(self, x):
            scores, bias = super().compare(x)
            return scores, bias[:, [x.shape[2] + 1]]  # that of a token off the border

    wrong, x = randomize(AlwaysInTheMiddle(32, 3)), noise(1, 5, 5, 32)
    off = (wrong.attend(x) - looped(wrong, x)).abs().amax((0, 3))
    assert off[1:-1, 1:-1].max() < 1e-9 and off[0].max() > 1e-3


def test_neighborhoods_are_listed_row_by_row():
    assert neighborhoods(3, 4, 3)[[0, 5, 11]].tolist() == [
        [0, 1, 2, 4, 5, 6, 8, 9, 10],
        [0, 1, 2, 4, 5, 6, 8, 9, 10],
        [1, 2, 3, 5, 6, 7, 9, 10, 11],
    ]


def test_a_map_smaller_than_the_window_is_refused_by_name_and_any_other_fits():
    model = maxvit("nat")
    told = "2.1 NeighborhoodAttention a map of 6 x 8 tokens, which is smaller than a neighborhood"
    with pytest.raises(ValueError, match=f"{told} of 7 x 7; .* height 25 and width 32"):
        model(torch.zeros(1, 3, 24, 32))
    assert model(torch.zeros(1, 3, 25, 37)).shape == (1, 10)
    with pytest.raises(ValueError, match="48 channels do not divide into heads of dimension 32"):
        NeighborhoodAttention(48, 3)


def test_the_named_network_has_its_size():
    model = maxvit("nat").eval()
    assert CONFIGS["nat"] is NAT and sum(p.numel() for p in model.parameters()) == 984_308
    maps = [tuple(x.shape[1:]) for x in model.features(torch.zeros(2, 3, 32, 32))]
    assert maps == [(32, 16, 16), (96, 8, 8), (192, 4, 4)]
    assert "NeighborhoodAttention(\n            window=7" in str(model)


def test_a_saved_network_comes_back(tmp_path):
    small = replace(NAT, depths=(1, 1, 1), dims=(32, 32, 32))
    model, images = randomize(MaxViT(small)).float(), noise(2, 3, 32, 32).float()
    save(model, tmp_path / "nat")
    loaded = load(tmp_path / "nat")
    assert loaded.config == small and torch.equal(loaded(images), model(images))
