"""Stand-alone self-attention against timm's halo attention of blocks of one token, and a loop."""

from dataclasses import replace

import pytest
import torch
from helpers import noise, randomize, said_reads
from relatives.proofs import follows, multiply_adds, reads
from timm.layers.halo_attn import HaloAttn
from torch import nn

from minimaxvit import CONFIGS, MaxViT, load, maxvit, save
from minimaxvit.relatives import SASA, SlidingAttention, StandAloneAttention
from minimaxvit.seeing import record_attention, rollout

MAPS = pytest.mark.parametrize("h, w, window", [(6, 6, 3), (4, 7, 5), (3, 2, 7)])


def halo_of(ours, dim):
    """timm's attention with our weights; it takes maps, and adds vectors that are d wide each."""
    window, d = ours.window, ours.head_dim
    theirs = HaloAttn(
        dim, num_heads=dim // d, block_size=1, halo_size=window // 2, scale_pos_embed=True
    )
    theirs = theirs.double().eval()
    nothing = torch.zeros_like(ours.rows)
    with torch.no_grad():
        theirs.q.weight.copy_(ours.query.weight[:, :, None, None])
        both = [f.weight.unflatten(0, (-1, d)) for f in (ours.key, ours.value)]
        theirs.kv.weight.copy_(torch.cat(both, 1).flatten(0, 1)[:, :, None, None])
        # It keeps an offset of 0 in the middle of 2 * window - 1, of which a block of one token
        # has need of the second half.
        theirs.pos_embed.height_rel[window - 1 :] = torch.cat([ours.rows, nothing], 1)
        theirs.pos_embed.width_rel[window - 1 :] = torch.cat([nothing, ours.columns], 1)
    return theirs


def looped(ours, x, padded=True):
    """The formula, one token of one head after the other: (1, h, w, c) -> (1, h, w, c)."""
    query, key, value = (
        f(x)[0].unflatten(-1, (-1, ours.head_dim)) for f in (ours.query, ours.key, ours.value)
    )
    (h, w, heads, d), before, out = query.shape, ours.window // 2, torch.zeros_like(query)
    for i, j, head in torch.cartesian_prod(*map(torch.arange, (h, w, heads))).tolist():
        logits, values = [], []
        for down in range(ours.window):
            for right in range(ours.window):
                a, b = i - before + down, j - before + right
                there = 0 <= a < h and 0 <= b < w
                if not there and not padded:
                    continue
                q, r = query[i, j, head], torch.cat([ours.rows[down], ours.columns[right]])
                k = key[a, b, head] if there else torch.zeros_like(r)
                logits.append((q @ k + q @ r) / d**0.5)
                values.append(value[a, b, head] if there else torch.zeros_like(r))
        out[i, j, head] = torch.stack(logits).softmax(0) @ torch.stack(values)
    return out.flatten(2)[None]


def sliding(dim, window):
    return randomize(SlidingAttention(dim, window))


@MAPS
def test_attention_is_that_of_timm(h, w, window):
    ours, x = sliding(64, window), noise(2, h, w, 64)
    expected = halo_of(ours, 64)(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    torch.testing.assert_close(ours(x), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("h, w, window", [(5, 4, 3), (2, 3, 5), (4, 4, 2)])
def test_attention_is_the_formula_in_a_loop(h, w, window):
    ours, x = sliding(64, window), noise(1, h, w, 64)
    torch.testing.assert_close(ours(x), looped(ours, x), rtol=0, atol=1e-9)


def test_a_layer_norms_attends_and_transforms():
    layer, x = randomize(StandAloneAttention(32, 3, expansion=2)), noise(2, 32, 4, 5)
    y = x.permute(0, 2, 3, 1)
    y = y + torch.cat([looped(layer.attention, each[None]) for each in layer.attention_norm(y)])
    y = y + layer.feed_forward(layer.feed_forward_norm(y))
    torch.testing.assert_close(layer(x), y.permute(0, 3, 1, 2), rtol=0, atol=1e-9)


@pytest.mark.parametrize("h, w", [(6, 6), (4, 7)])
def test_a_layer_reads_its_window_as_far_as_there_is_a_map(h, w):
    found = reads(randomize(StandAloneAttention(32, 3, expansion=1)), 32, h, w)
    seen = found.sum(1).view(h, w)
    assert (seen[1:-1, 1:-1] == 9).all() and seen[0, 0] == seen[-1, -1] == 4 and seen[0, 1] == 6


@pytest.mark.parametrize("window, layers", [(3, 15), (7, 5)])
def test_so_many_layers_see_the_whole_map(window, layers):
    steps = StandAloneAttention(32, window).steps()
    assert not said_reads(steps * (layers - 1), 16, 16).all()
    assert said_reads(steps * layers, 16, 16).all()


@pytest.mark.parametrize("side, millions", [(8, 0.90), (16, 3.59), (32, 14.4)])
def test_the_cost_grows_with_the_number_of_tokens(side, millions):
    layer = randomize(StandAloneAttention(64, 3, expansion=2))
    n, c = side**2, 64  # products with keys, with offsets and with values
    attention, feed_forward = 3 * n * c**2 + 3 * n * 3**2 * c, 2 * n * c * (2 * c)
    assert multiply_adds(layer, c, side, side) == attention + feed_forward
    assert attention / 1e6 == pytest.approx(millions, rel=5e-3)


def test_it_follows_shifts_but_not_across_borders():
    layer, x = randomize(StandAloneAttention(32, 3)), noise(1, 32, 9, 9)
    off = layer(x.roll((1, 1), (2, 3))) - layer(x).roll((1, 1), (2, 3))
    off = off.abs().amax((0, 1))  # (h, w)
    assert off[2:-1, 2:-1].max() < 1e-9 and off[:2].amax(1).min() > 1e-3 and off[-1].max() > 1e-3
    assert not follows(layer, 32, 9, 9, 1, 0) and not follows(layer, 32, 9, 9, 3, 3)


def test_padding_takes_weight_and_what_is_recorded_says_so():
    layer, x = randomize(StandAloneAttention(32, 3)), noise(1, 32, 4, 4)
    with record_attention(layer) as maps:
        layer(x)
    (attention,) = maps.values()
    weights = attention.weights()
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    lifted = attention.lift(weights)[0]  # (heads, 16, 16)
    value = layer.attention.value(layer.attention_norm(x.permute(0, 2, 3, 1))).view(16, 32)
    out = layer.attend(layer.attention_norm(x.permute(0, 2, 3, 1))).view(16, 32)
    torch.testing.assert_close(lifted[0] @ value, out)

    whole = lifted.sum(-1).view(4, 4)
    torch.testing.assert_close(whole[1:3, 1:3], torch.ones_like(whole[1:3, 1:3]))
    assert whole[0].max() < 0.99 and whole[:, 0].max() < 0.99
    row = attention.row((0, 0), weights)[0, 0]
    assert (row > 0).sum() == 4 and row.sum() == pytest.approx(whole[0, 0].item())


def test_what_padding_takes_is_left_out_of_a_rollout():
    small = replace(SASA, dims=(32,), depths=(1,), strides=1, window=3, parts=SASA.parts[:1])
    model = randomize(MaxViT(replace(small, image_size=8))).float()
    images = torch.randint(256, (2, 3, 8, 8), dtype=torch.uint8)
    found = rollout(model, images, "1.1 StandAloneAttention", (0, 0))
    assert found.sum((1, 2)).tolist() == pytest.approx([1, 1])
    assert (found >= 0).all() and not found[:, 7].any() and not found[:, :, 7].any()  # out of reach


def test_leaving_padding_out_of_the_softmax_is_another_thing_at_the_border():
    ours, x = sliding(32, 3), noise(1, 5, 5, 32)
    off = (looped(ours, x, padded=False) - ours(x)).abs().amax((0, 3))
    assert off[1:-1, 1:-1].max() < 1e-9 and off[0].min() > 1e-3


def test_a_softmax_for_each_channel_is_not_attention():
    class ForEachChannel(SlidingAttention):
        """As a popular port has it: q times k, never summed over the channels of a head."""

        def forward(self, x):
            query = self.query(x).flatten(1, 2).unflatten(2, (-1, self.head_dim)).transpose(1, 2)
            logits = query[:, :, :, None] * (self.neighbors(self.key(x)) + self.offsets())
            out = (logits.softmax(-2) * self.neighbors(self.value(x))).sum(-2)
            return out.transpose(1, 2).reshape(x.shape)

    wrong, x = randomize(ForEachChannel(64, 3)), noise(1, 5, 5, 64)
    assert (wrong(x) - looped(wrong, x)).abs().max() > 1e-2


def test_rows_and_columns_are_not_to_be_swapped():
    class Swapped(SlidingAttention):
        def offsets(self):
            return super().offsets().unflatten(0, (self.window, -1)).transpose(0, 1).flatten(0, 1)

    wrong, x = randomize(Swapped(64, 3)), noise(1, 5, 5, 64)
    assert (wrong(x) - looped(wrong, x)).abs().max() > 1e-2


def test_every_size_fits_and_heads_that_do_not_divide_are_refused():
    assert maxvit("sasa")(torch.zeros(1, 3, 9, 37)).shape == (1, 10)
    with pytest.raises(ValueError, match="images of 0 x 8 give stem .* height 1 and width 8"):
        maxvit("sasa")(torch.zeros(1, 3, 0, 8))
    with pytest.raises(ValueError, match="48 channels do not divide into heads of dimension 32"):
        StandAloneAttention(48, 3)
    with pytest.raises(ValueError, match="48 channels do not divide into heads of dimension 32"):
        SlidingAttention(48, 3)


def test_the_named_network_has_its_size():
    model = maxvit("sasa").eval()
    assert CONFIGS["sasa"] is SASA and sum(p.numel() for p in model.parameters()) == 867_210
    maps = [tuple(x.shape[1:]) for x in model.features(torch.zeros(2, 3, 32, 32))]
    assert maps == [(32, 16, 16), (96, 8, 8), (192, 4, 4)]
    assert "StandAloneAttention(\n            window=7" in str(model)


def test_offsets_begin_different_and_learn():
    attention = SlidingAttention(64, 3)
    assert attention.offsets().shape == (9, 32) and len(attention.offsets().unique(dim=0)) == 9
    attention(torch.randn(1, 4, 4, 64)).square().sum().backward()
    for name, parameter in attention.named_parameters():
        assert parameter.grad.abs().max() > 0, name
    assert not any(isinstance(m, nn.Linear) and m.bias is not None for m in attention.modules())


def test_a_saved_network_comes_back(tmp_path):
    small = replace(SASA, depths=(1, 1, 1), dims=(32, 32, 32))
    model, images = randomize(MaxViT(small)).float(), noise(2, 3, 32, 32).float()
    save(model, tmp_path / "sasa")
    loaded = load(tmp_path / "sasa")
    assert loaded.config == small and torch.equal(loaded(images), model(images))
