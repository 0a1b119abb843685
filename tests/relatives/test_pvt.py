"""Spatial-reduction attention is timm's, weight for weight, and its summaries are of windows."""

from math import prod

import pytest
import torch
import torch.nn.functional as F
from helpers import measured_reads, noise, randomize
from relatives.proofs import follows, multiply_adds, reads
from timm.models.pvt_v2 import Attention
from torch import nn

from minimaxvit import CONFIGS, MaxViT, load, maxvit, save
from minimaxvit.relatives import PVT, GlobalAttention, SpatialReductionAttention

SIZES = pytest.mark.parametrize("window, h, w", [(2, 4, 4), (2, 4, 6), (3, 3, 6), (1, 3, 4)])


def layer_of(window, dim=64):
    return randomize(SpatialReductionAttention(dim, window, expansion=2))


def timm_attention(ours, window):
    """Their attention with our weights: keys and values in one layer."""
    theirs = Attention(len(ours.query.weight), len(ours.query.weight) // 32, sr_ratio=window)
    state = {
        f"{name}.{kind}": tensor
        for name, part in (("q", ours.query), ("proj", ours.output))
        for kind, tensor in part.state_dict().items()
    }
    for kind in ("weight", "bias"):
        state[f"kv.{kind}"] = torch.cat([getattr(ours.key, kind), getattr(ours.value, kind)])
        if window > 1:
            state[f"sr.{kind}"] = getattr(ours.reduce, kind)
            state[f"norm.{kind}"] = getattr(ours.reduce_norm, kind)
    theirs.double().eval().load_state_dict(state)
    return theirs


def loop(attention, x, window):
    """Write out the formula, one window and one query at a time: (b, h, w, c) -> (b, h, w, c)."""
    (b, h, w, c), out = x.shape, torch.zeros_like(x)
    for image in range(b):
        summaries = []
        for row in range(0, h, window):
            for column in range(0, w, window):
                tokens = x[image, row : row + window, column : column + window]
                if window > 1:
                    conv, norm = attention.reduce, attention.reduce_norm
                    summary = torch.einsum("ijc,ocij->o", tokens, conv.weight) + conv.bias
                    summary = (summary - summary.mean()) / (summary.var(correction=0) + 1e-5).sqrt()
                    summaries.append(summary * norm.weight + norm.bias)
                else:
                    summaries.append(tokens[0, 0])
        keys = torch.stack([attention.key(summary) for summary in summaries])  # (s, c)
        values = torch.stack([attention.value(summary) for summary in summaries])
        for row in range(h):
            for column in range(w):
                query, gathered = attention.query(x[image, row, column]), []
                for head in range(0, c, 32):
                    d = slice(head, head + 32)
                    weights = (keys[:, d] @ query[d] / 32**0.5).softmax(0)
                    gathered.append(weights @ values[:, d])
                out[image, row, column] = attention.output(torch.cat(gathered))
    return out


@SIZES
def test_attention_is_that_of_timm_and_that_of_a_loop(window, h, w):
    attention, x = layer_of(window).attention, noise(2, h, w, 64)
    theirs = timm_attention(attention, window)(x.flatten(1, 2), (h, w)).view(x.shape)
    torch.testing.assert_close(attention(x), theirs, rtol=0, atol=1e-9)
    torch.testing.assert_close(attention(x), loop(attention, x, window), rtol=0, atol=1e-9)


@SIZES
def test_a_layer_is_its_steps_written_out(window, h, w):
    layer, x = layer_of(window), noise(2, 64, h, w)
    y = x.permute(0, 2, 3, 1)
    norm, ffn = layer.attention_norm, layer.feed_forward
    z = F.layer_norm(y, (64,), norm.weight, norm.bias)
    y = y + loop(layer.attention, z, window)
    norm = layer.feed_forward_norm
    z = ffn.expand(F.layer_norm(y, (64,), norm.weight, norm.bias))
    y = y + ffn.shrink(F.gelu(z, approximate="tanh"))
    torch.testing.assert_close(layer(x), y.permute(0, 3, 1, 2), rtol=0, atol=1e-9)


def test_window_1_is_the_attention_of_vit():
    ours, theirs = layer_of(1), randomize(GlobalAttention(64)).attention
    theirs.load_state_dict(ours.attention.state_dict())
    x = noise(2, 3, 4, 64)
    expected = theirs(x.flatten(1, 2)[:, None]).view(x.shape)
    torch.testing.assert_close(ours.attention(x), expected, rtol=0, atol=1e-9)


@SIZES
def test_scores_make_the_weights_that_forward_uses(window, h, w):
    layer, x = layer_of(window), noise(2, 64, h, w)
    scores, bias = layer.scores(x)
    s = h * w // window**2
    assert scores.shape == (2, 2, 1, h * w, s) and (scores + bias).shape == scores.shape
    y = layer.attention_norm(x.permute(0, 2, 3, 1))
    value = layer.attention.value(layer.attention.summarize(y)).view(2, s, 2, 32)
    out = torch.einsum("bhqs,bshd->bqhd", (scores + bias).softmax(-1)[:, :, 0], value)
    torch.testing.assert_close(layer.attention.output(out.reshape(y.shape)), layer.attend(y))


@SIZES
def test_one_layer_reads_all_through_summaries_of_windows(window, h, w):
    layer = layer_of(window, dim=32)
    assert reads(layer, 32, h, w).all()
    (add,) = layer.steps()
    assert () in add.branches  # the shortcut, which where all reads all does not show

    def summaries(x):
        return (layer.attention.summarize(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),)

    near = torch.kron(torch.eye(h // window), torch.ones(1, window))
    across = torch.kron(torch.eye(w // window), torch.ones(1, window))
    windows = torch.kron(near, across).bool()
    assert torch.equal(measured_reads(summaries, noise(1, 32, h, w)), windows)


@pytest.mark.slow
def test_a_map_of_16_x_16_is_whole_after_one_layer():
    assert reads(layer_of(4, dim=32), 32, 16, 16).all()


def cost(h, w, c, window):
    n, s = h * w, h * w // window**2
    reduced = n * c**2 if window > 1 else 0  # s windows of window ** 2 tokens
    return reduced + 2 * n * c**2 + 2 * s * c**2 + 2 * n * s * c


@pytest.mark.parametrize("h, w, millions", [(8, 8, 1.05), (16, 16, 5.77), (32, 32, 48.2)])
def test_attention_costs_what_its_formula_says(h, w, millions):
    layer = layer_of(2)
    attention = multiply_adds(lambda x: layer.attend(x.permute(0, 2, 3, 1)), 64, h, w)
    assert attention == cost(h, w, 64, 2) == pytest.approx(millions * 1e6, rel=5e-3)
    assert multiply_adds(layer, 64, h, w) == attention + 2 * 2 * h * w * 64**2  # expansion 2


@SIZES
def test_a_layer_costs_what_its_formula_says(window, h, w):
    expected = cost(h, w, 64, window) + 2 * 2 * h * w * 64**2
    assert multiply_adds(layer_of(window), 64, h, w) == expected


def test_shifts_by_a_window_are_followed_and_others_are_not():
    assert follows(layer_of(2), 64, 4, 6, 2, 0) and follows(layer_of(2), 64, 4, 6, 2, 4)
    assert not follows(layer_of(2), 64, 4, 6, 1, 0) and not follows(layer_of(2), 64, 4, 6, 0, 1)


def test_windows_may_change_places_but_not_their_tokens():
    layer, x = layer_of(2), noise(1, 64, 4, 4)
    blocks = x.unflatten(3, (2, 2)).unflatten(2, (2, 2))  # (b, c, rows, 2, columns, 2)

    def whole(blocks):
        return blocks.flatten(4).flatten(2, 3)

    outcome = layer(x).unflatten(3, (2, 2)).unflatten(2, (2, 2))
    swapped = layer(whole(blocks.flip(2)))
    torch.testing.assert_close(swapped, whole(outcome.flip(2)), rtol=0, atol=1e-9)
    turned = layer(whole(blocks.flip(3)))
    assert (turned - whole(outcome.flip(3))).abs().max() > 1e-3


def average_pool(attention, x):
    """As the linear attention of PVT v2 does, with nothing learned."""
    return F.avg_pool2d(x, 2)


def overlapping(attention, x):
    """A window wider than its stride, as patch embeddings of PVT v2 have."""
    wide = F.pad(attention.reduce.weight, (0, 1, 0, 1), value=0.1)
    return F.conv2d(x, wide, attention.reduce.bias, 2, padding=1)[..., :2, :3]


def run_of_tokens(attention, x):
    """Reshape(x, R) taken by its letters: R * R tokens that follow one another in their rows."""
    runs = x.flatten(2).mT.reshape(x.shape[0], -1, 4 * x.shape[1])
    weight = attention.reduce.weight.permute(0, 2, 3, 1).flatten(1)
    return F.linear(runs, weight, attention.reduce.bias).mT.unflatten(2, (2, 3))


def channels_first(attention, x):
    """A window flattened with its tokens in front, for weights whose channels are in front."""
    windows = F.unfold(x, 2, stride=2).unflatten(1, (-1, 4)).transpose(1, 2).flatten(1, 2)
    weight = attention.reduce.weight.flatten(1)
    out = torch.einsum("oi,bis->bos", weight, windows) + attention.reduce.bias[:, None]
    return out.unflatten(2, (2, 3))


WRONG = (average_pool, overlapping, run_of_tokens, channels_first)


@pytest.mark.parametrize("reduce", WRONG, ids=lambda reduce: reduce.__name__)
def test_a_wrong_reduction_is_told_from_that_of_timm(reduce):
    attention, x = layer_of(2).attention, noise(2, 4, 6, 64)
    expected = timm_attention(attention, 2)(x.flatten(1, 2), (4, 6)).view(x.shape)
    attention.reduce.forward = lambda x: reduce(attention, x)
    assert (attention(x) - expected).abs().max() > 1e-2


def test_attention_without_the_norm_of_summaries_is_told_from_that_of_timm():
    attention, x = layer_of(2).attention, noise(2, 4, 6, 64)
    expected = timm_attention(attention, 2)(x.flatten(1, 2), (4, 6)).view(x.shape)
    attention.reduce_norm = nn.Identity()
    assert (attention(x) - expected).abs().max() > 1e-2


def test_a_class_token_stands_in_no_window_and_passes():
    """PVT has one in its last stage, and there window 1: a convolution cannot go over it."""
    layer, x, token = layer_of(2), noise(2, 64, 4, 4), noise(2, 1, 64, seed=2)
    out, passed = layer.run(x, token)
    assert passed is token and torch.equal(out, layer(x))


def test_maps_that_windows_do_not_divide_are_refused_and_sizes_that_work_are_named():
    model = maxvit("pvt")
    told = (
        "images of 36 x 32 give 1.1 SpatialReductionAttention a map of 18 x 16 tokens, "
        "which is not divisible by 4; the nearest sizes that work are height 32 or 39 and width 32"
    )
    with pytest.raises(ValueError) as caught:
        model(torch.zeros(1, 3, 36, 32))
    assert str(caught.value) == told
    assert model(torch.zeros(1, 3, 32, 48)).shape == (1, 10)
    with pytest.raises(ValueError, match="48 channels do not divide into heads of dimension 32"):
        SpatialReductionAttention(48, 2)


def test_a_larger_image_has_larger_windows_and_as_many_keys():
    assert maxvit("pvt", image_size=64).config.window == (8, 4, 2)


def test_the_named_network_has_its_size_and_as_many_keys_in_every_stage():
    model = maxvit("pvt").eval()
    assert CONFIGS["pvt"] is PVT and sum(p.numel() for p in model.parameters()) == 942_538
    layers = [m for m in model.modules() if isinstance(m, SpatialReductionAttention)]
    assert [layer.window for layer in layers] == [4, 4, 2, 2, 1, 1]
    maps = [tuple(x.shape[1:]) for x in model.features(torch.zeros(2, 3, 32, 32))]
    assert maps == [(32, 16, 16), (96, 8, 8), (192, 4, 4)]
    keys = [prod(x[1:]) // layer.window**2 for x, layer in zip(maps, layers[::2], strict=True)]
    assert keys == [16, 16, 16]
    assert "window=4" in str(model) and "heads=6, head_dim=32" in str(model)


def test_a_saved_network_comes_back(tmp_path):
    model, images = randomize(MaxViT(PVT)).float(), noise(2, 3, 32, 32).float()
    save(model, tmp_path / "pvt")
    loaded = load(tmp_path / "pvt")
    assert loaded.config == PVT and torch.equal(loaded(images), model(images))


def test_a_dropped_branch_leaves_the_shortcut():
    layer = SpatialReductionAttention(32, 2, drop_path=1 - 1e-6).train()
    x = torch.randn(2, 32, 4, 4)
    assert torch.equal(layer(x), x)
