"""MobileViT's block is timm's, weight for weight, and what it calls unfolding is the grid."""

from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from helpers import noise, normalized, randomize, said_reads
from relatives.proofs import follows, multiply_adds, reads
from timm.layers import ConvNormAct
from timm.models.byobnet import LayerFn
from timm.models.mobilevit import MobileVitBlock
from torch import nn

from minimaxvit import CONFIGS, MaxViT, block_partition, grid_partition, load, maxvit, save
from minimaxvit.relatives import MOBILEVIT, MobileViTBlock, UnfoldedAttention, fold, unfold


def block_of(dim, window, **options):
    return randomize(MobileViTBlock(dim, window, activation=F.silu, **options))


def timm_block(ours, dim):
    silu = LayerFn(conv_norm_act=partial(ConvNormAct, act_layer=nn.SiLU), act=nn.SiLU)
    theirs = MobileVitBlock(
        dim,
        patch_size=ours.divisor,
        num_heads=dim // 32,
        transformer_depth=1,
        layers=silu,
    )
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
    inner = ours.transformer
    pairs = {
        "conv_kxk.conv": ours.local,
        "conv_kxk.bn": ours.local_norm,
        "conv_1x1": ours.enter,
        "transformer.0.norm1": inner.attention_norm,
        "transformer.0.attn.proj": inner.attention.output,
        "transformer.0.norm2": inner.feed_forward_norm,
        "transformer.0.mlp.fc1": inner.feed_forward.expand,
        "transformer.0.mlp.fc2": inner.feed_forward.shrink,
        "norm": ours.norm,
        "conv_proj.conv": ours.leave,
        "conv_proj.bn": ours.leave_norm,
        "conv_fusion.conv": ours.fuse,
        "conv_fusion.bn": ours.fuse_norm,
    }
    weights = {f"{a}.{b}": each for a, of in pairs.items() for b, each in of.state_dict().items()}
    packed = [getattr(inner.attention, name) for name in ("query", "key", "value")]
    for kind in ("weight", "bias"):
        weights[f"transformer.0.attn.qkv.{kind}"] = torch.cat([getattr(f, kind) for f in packed])
    theirs.double().eval().load_state_dict(weights)
    return theirs


def timm_unfolding(x, patch):
    """The lines of timm's block that unfold: (b, c, h, w) -> (b * n, t, c)."""
    b, c, h, w = x.shape
    x = x.reshape(b * c * (h // patch), patch, w // patch, patch).transpose(1, 2)
    x = x.reshape(b, c, (h // patch) * (w // patch), patch**2).transpose(1, 3)
    return x.reshape(b * patch**2, (h // patch) * (w // patch), -1)


def looped(layer, x):
    """Attention alone, one query of one head after the other: (h, w, c) -> (h, w, c)."""
    attention, p = layer.attention, layer.window
    query, key, value = (
        f(x).unflatten(2, (-1, 32)) for f in (attention.query, attention.key, attention.value)
    )
    out, (h, w, heads, _) = torch.zeros_like(query), query.shape
    for i, j, head in torch.cartesian_prod(*map(torch.arange, (h, w, heads))).tolist():
        keys, values = (each[i % p :: p, j % p :: p, head].flatten(0, 1) for each in (key, value))
        out[i, j, head] = (keys @ query[i, j, head] / 32**0.5).softmax(0) @ values
    return attention.output(out.flatten(2))


@pytest.mark.parametrize("h, w, patch", [(6, 6, 2), (4, 8, 2), (6, 3, 3)])
def test_a_block_is_that_of_timm(h, w, patch):
    ours, x = block_of(64, patch), noise(2, 64, h, w)
    torch.testing.assert_close(ours(x), timm_block(ours, 64)(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize("side, patch", [(8, 2), (12, 3), (12, 2)])
def test_unfolding_is_the_grid_partition_and_that_of_timm(side, patch):
    x = noise(2, side, side, 5)
    groups = unfold(x, patch)
    assert torch.equal(groups, grid_partition(x, side // patch))
    assert torch.equal(groups.flatten(0, 1), timm_unfolding(x.permute(0, 3, 1, 2), patch))
    assert torch.equal(fold(groups, patch, side, side), x)


def test_maps_that_are_not_square_unfold_too():
    x = noise(2, 4, 6, 5)
    groups = unfold(x, 2)
    assert groups.shape == (2, 4, 6, 5)
    assert torch.equal(groups.flatten(0, 1), timm_unfolding(x.permute(0, 3, 1, 2), 2))
    assert torch.equal(fold(groups, 2, 4, 6), x)
    with pytest.raises(ValueError, match="a map of 4 x 6 tokens is not divisible by 4"):
        unfold(x, 4)


@pytest.mark.parametrize("h, w, patch", [(4, 4, 2), (6, 3, 3)])
def test_attention_is_the_formula_in_a_loop(h, w, patch):
    layer, x = randomize(UnfoldedAttention(64, patch)), noise(1, h, w, 64)
    torch.testing.assert_close(layer.attend(x)[0], looped(layer, x[0]), rtol=0, atol=1e-9)


def test_a_block_is_its_steps_written_out():
    block, x = block_of(32, 2, expansion=3), noise(1, 32, 4, 6)
    y = F.silu(normalized(F.conv2d(x, block.local.weight, padding=1), block.local_norm))
    y = F.conv2d(y, block.enter.weight).permute(0, 2, 3, 1)
    inner = block.transformer
    y = y + looped(inner, inner.attention_norm(y)[0])
    z = inner.feed_forward_norm(y)
    y = y + inner.feed_forward.shrink(F.silu(inner.feed_forward.expand(z)))
    y = F.layer_norm(y, (32,), block.norm.weight, block.norm.bias).permute(0, 3, 1, 2)
    y = F.silu(normalized(F.conv2d(y, block.leave.weight), block.leave_norm))
    y = F.conv2d(torch.cat([x, y], 1), block.fuse.weight, padding=1)
    expected = F.silu(normalized(y, block.fuse_norm))
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("h, w, patch", [(8, 8, 2), (4, 6, 2), (6, 3, 3)])
def test_attention_reads_one_token_of_every_patch(h, w, patch):
    found = reads(randomize(UnfoldedAttention(32, patch, expansion=1)), 32, h, w)
    assert (found.sum(1) == h * w / patch**2).all()
    seen = found[0].view(h, w)
    assert seen[::patch, ::patch].all() and seen.sum() == h * w / patch**2


@pytest.mark.parametrize("h, w", [(4, 4), (4, 6)])
def test_a_block_of_small_patches_reads_the_whole_map(h, w):
    assert reads(block_of(32, 2, expansion=1), 32, h, w).all()


@pytest.mark.slow
def test_a_block_of_patches_of_four_does_so_away_from_corners():
    found = reads(block_of(32, 4, expansion=1), 32, 8, 8).view(8, 8, 8, 8)
    assert found[3, 4].all()
    assert found[0, 0, :7, :7].all() and found[0, 0].sum() == 7 * 7


def test_attention_alone_never_sees_the_whole_map_but_one_block_of_small_patches_does():
    steps = UnfoldedAttention(32, 2).steps()
    assert torch.equal(said_reads(steps * 5, 16, 16), said_reads(steps, 16, 16))
    assert said_reads(MobileViTBlock(32, 2).steps(), 16, 16).all()
    assert not said_reads(MobileViTBlock(32, 8).steps(), 16, 16).all()


@pytest.mark.parametrize("side", [8, 16, 32])
def test_the_cost_is_that_of_dense_convolutions_and_of_attention_in_groups(side):
    n, c, patch, expansion = side**2, 64, 2, 2
    convolutions = (9 + 1 + 1 + 18) * n * c**2
    attention = 4 * n * c**2 + 2 * n * (n // patch**2) * c
    feed_forward = 2 * n * c * expansion * c
    block = MobileViTBlock(c, patch, expansion).double().eval()
    assert multiply_adds(block, c, side, side) == convolutions + attention + feed_forward


def test_without_a_position_bias_attention_follows_every_shift_and_the_block_none():
    layer, block = randomize(UnfoldedAttention(32, 2)), block_of(32, 2)
    assert all(follows(layer, 32, 6, 8, *shift) for shift in ((1, 0), (0, 1), (2, 2)))
    assert not any(follows(block, 32, 6, 8, *shift) for shift in ((1, 0), (0, 1), (2, 2)))


def test_attention_within_a_patch_is_another_thing():
    class WithinPatches(UnfoldedAttention):
        partition = staticmethod(block_partition)

        def attend(self, x):
            groups = self.attention(self.partition(x, self.window))
            return fold(groups.transpose(1, 2), self.window, *x.shape[1:3])

    wrong, x = randomize(WithinPatches(32, 2)), noise(1, 6, 6, 32)
    assert (wrong.attend(x)[0] - looped(wrong, x[0])).abs().max() > 1e-3


def test_joining_in_the_other_order_is_another_thing():
    class Swapped(MobileViTBlock):
        def forward(self, x):
            self.fuse.weight.data = self.fuse.weight.roll(self.fuse.out_channels, 1)
            return super().forward(x)

    wrong, x = randomize(Swapped(32, 2, activation=F.silu)), noise(1, 32, 4, 4)
    expected = timm_block(wrong, 32)(x)
    assert (wrong(x) - expected).abs().max() > 1e-3


def test_a_map_that_patches_do_not_tile_is_refused_by_name():
    model = maxvit("mobilevit")
    told = "images of 36 x 32 give 2.1 MobileViTBlock a map of 9 x 8 tokens, which is not divisible"
    with pytest.raises(ValueError, match=f"{told} by 2; .* are height 32 or 47 and width 32"):
        model(torch.zeros(1, 3, 36, 32))
    with pytest.raises(ValueError, match="48 channels do not divide into heads of dimension 32"):
        MobileViTBlock(48, 2)


def test_the_named_network_has_its_size():
    model = maxvit("mobilevit").eval()
    count = sum(p.numel() for p in model.parameters())
    assert CONFIGS["mobilevit"] is MOBILEVIT and count == 1_154_250
    maps = [tuple(x.shape[1:]) for x in model.features(torch.zeros(2, 3, 32, 32))]
    assert maps == [(32, 16, 16), (96, 8, 8), (128, 4, 4)]


def test_a_saved_network_comes_back(tmp_path):
    small = replace(MOBILEVIT, dims=(32, 32, 32))
    model, images = randomize(MaxViT(small)).float(), noise(2, 3, 32, 32).float()
    save(model, tmp_path / "mobilevit")
    loaded = load(tmp_path / "mobilevit")
    assert loaded.config == small and torch.equal(loaded(images), model(images))
