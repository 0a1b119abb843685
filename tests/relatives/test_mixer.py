"""The Mixer's layer is timm's, and reads, costs and follows what it says."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import noise, randomize, said_reads
from relatives.proofs import follows, multiply_adds, reads
from timm.models.mlp_mixer import MixerBlock
from torch import nn

from minimaxvit import CONFIGS, MaxViT, load, maxvit, save
from minimaxvit.relatives import MIXER, MixerLayer, PatchProjection
from minimaxvit.relatives.vit import VIT

NAMES = {
    "token_norm": "norm1",
    "expand_tokens": "mlp_tokens.fc1",
    "shrink_tokens": "mlp_tokens.fc2",
    "feed_forward_norm": "norm2",
    "feed_forward.expand": "mlp_channels.fc1",
    "feed_forward.shrink": "mlp_channels.fc2",
}
# 16 tokens: a square map, and others with as many, which a network refuses and a layer does not.
MAPS = pytest.mark.parametrize("h, w", [(4, 4), (2, 8), (16, 1)])


def layer(dim=16, window=4, kind=MixerLayer, **options):
    return randomize(kind(dim, window, **options))


def same(found, expected):
    return torch.allclose(found, expected, rtol=0, atol=1e-9)


def by_timm(ours, x, dim=16, expansion=4):
    theirs = MixerBlock(dim, x[0, 0].numel(), mlp_ratio=(0.5, expansion)).double().eval()
    weights = {}
    for name, tensor in ours.state_dict().items():
        module, _, kind = name.rpartition(".")
        weights[f"{NAMES[module]}.{kind}"] = tensor
    theirs.load_state_dict(weights)
    return theirs(x.flatten(2).mT).mT.view_as(x)


@MAPS
@pytest.mark.parametrize("dim, expansion", [(16, 4), (10, 2)])
def test_a_layer_is_that_of_timm(dim, expansion, h, w):
    ours, x = layer(dim, expansion=expansion), noise(2, dim, h, w)
    assert same(ours(x), by_timm(ours, x, dim, expansion))


def token_by_token(x, norm):
    mean, var = x.mean(1, keepdim=True), x.var(1, False, keepdim=True)
    weight, bias = norm.weight[:, None], norm.bias[:, None]
    return (x - mean) / (var + 1e-6).sqrt() * weight + bias


@MAPS
def test_a_layer_is_its_loop_over_tokens(h, w):
    ours, x = layer(), noise(2, 16, h, w)
    out = x.flatten(2).clone()  # (b, c, t)
    y = token_by_token(out, ours.token_norm)
    first, second = ours.expand_tokens, ours.shrink_tokens
    for channel in range(16):
        for token in range(16):
            for hidden in range(8):
                asked = sum(first.weight[hidden, key] * y[:, channel, key] for key in range(16))
                z = F.gelu(asked + first.bias[hidden])
                out[:, channel, token] += second.weight[token, hidden] * z
            out[:, channel, token] += second.bias[token]
    y, ffn = token_by_token(out, ours.feed_forward_norm), ours.feed_forward
    for token in range(16):
        out[:, :, token] += ffn.shrink(F.gelu(ffn.expand(y[:, :, token])))
    assert same(ours(x), out.view_as(x))


def test_the_stem_is_its_loop_over_patches_and_reads_them():
    ours, images = randomize(PatchProjection(5, 4)), noise(2, 3, 8, 12)
    out = ours(images)
    assert out.shape == (2, 5, 2, 3)
    for row in range(2):
        for column in range(3):
            patch = images[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].flatten(1)
            expected = patch @ ours.conv1.weight.flatten(1).T + ours.conv1.bias
            assert same(out[:, :, row, column], expected)
    assert (reads(ours, 3, 8, 12).sum(1) == 16).all()


class MixesChannels(MixerLayer):
    def forward(self, x):
        h = x.shape[2]
        x = x.flatten(2).mT[:, None]
        x = x + self.mix_tokens(self.token_norm(x))  # which fits, as there are as many channels
        x = x + self.feed_forward(self.feed_forward_norm(x))
        return x[:, 0].mT.unflatten(2, (h, -1))


class NormsOverTokens(MixerLayer):
    def forward(self, x):
        h = x.shape[2]
        x = x.flatten(2).mT[:, None]
        x = x + self.mix_tokens(self.token_norm(x.mT)).mT
        x = x + self.feed_forward(self.feed_forward_norm(x))
        return x[:, 0].mT.unflatten(2, (h, -1))


class ViewsInsteadOfTransposing(MixerLayer):
    def mix_tokens(self, x):
        return super().mix_tokens(x.mT.reshape(x.shape))


class OneShortcut(MixerLayer):
    def forward(self, x):
        y = x.flatten(2).mT[:, None]
        y = self.mix_tokens(self.token_norm(y).mT).mT
        y = self.feed_forward(self.feed_forward_norm(y))
        return x + y[:, 0].mT.view_as(x)


@pytest.mark.parametrize("wrong", MixerLayer.__subclasses__())
def test_what_ports_get_wrong_is_caught(wrong):
    ours, planted, x = layer(), layer(kind=wrong), noise(2, 16, 4, 4)
    theirs = by_timm(ours, x)
    assert same(ours(x), theirs)
    assert (planted(x) - theirs).abs().max() > 1e-2


def test_pytorchs_eps_is_caught_where_tokens_vary_little():
    ours, x = layer(), noise(2, 16, 4, 4) / 1000
    theirs = by_timm(ours, x)
    assert same(ours(x), theirs)
    ours.token_norm.eps = 1e-5
    assert (ours(x) - theirs).abs().max() > 1e-2


@MAPS
def test_every_token_reads_every_other_in_one_layer(h, w):
    assert reads(layer(4), 4, h, w).all()
    (add,) = layer().steps()
    assert () in add.branches  # the shortcut, which where all reads all does not show


def test_one_layer_makes_a_map_of_16_by_16_whole():
    ours, x = layer(4, window=16), noise(1, 4, 16, 16).requires_grad_()
    (gradient,) = torch.autograd.grad(ours(x)[0, :, 0, 0].sum(), x)
    assert (gradient[0] != 0).any(0).all() and said_reads(ours.steps(), 16, 16).all()


def mixing(n, c, hidden):
    return 2 * n * hidden * c


@pytest.mark.parametrize("window", [8, 16, 32])
def test_multiply_adds_grow_with_the_tokens_alone(window):
    n, c = window**2, 64
    feed_forward = 2 * 2 * n * c**2  # twice as wide inside
    counted = multiply_adds(layer(c, window, expansion=2), c, window, window)
    assert counted == mixing(n, c, c // 2) + feed_forward


@pytest.mark.parametrize("window, millions", [(8, 0.26), (16, 4.19), (32, 67.1)])
def test_they_would_grow_with_the_square_were_the_inside_half_as_wide_as_the_tokens(
    window, millions
):
    n, c = window**2, 64
    ours = MixerLayer(c, window)
    ours.expand_tokens, ours.shrink_tokens = nn.Linear(n, n // 2), nn.Linear(n // 2, n)
    feed_forward = 2 * 4 * n * c**2
    counted = multiply_adds(ours.double(), c, window, window) - feed_forward
    assert counted == mixing(n, c, n // 2)
    assert counted / 1e6 == pytest.approx(millions, rel=1e-2)


def test_its_weights_know_where_tokens_are():
    ours, x = layer(), noise(2, 16, 4, 4)
    for down, right in ((1, 0), (0, 1), (2, 2)):
        assert not follows(ours, 16, 4, 4, down, right)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    moved = ours(x.flatten(2)[:, :, order].view_as(x))
    assert not same(moved, ours(x).flatten(2)[:, :, order].view_as(x))


def test_all_channels_are_mixed_alike():
    ours, x = layer(), noise(2, 1, 16, 16)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    assert same(ours.mix_tokens(x[:, :, order]), ours.mix_tokens(x)[:, :, order])
    numbers = sum(p.numel() for p in ours.expand_tokens.parameters())
    assert numbers == 8 * (16 + 1)  # and none of them belongs to a channel


def test_every_image_is_mixed_by_itself():
    ours, x = layer(), noise(3, 16, 4, 4)
    assert same(ours(x), torch.cat([ours(each[None]) for each in x]))


def test_bad_sizes_are_refused_by_name():
    model = maxvit("mixer")
    for h, w in ((36, 32), (32, 64), (64, 16)):
        told = (
            "MixerLayer a map of .* is not the 8 x 8 that its weights are learned for.* height 32"
        )
        with pytest.raises(ValueError, match=told):
            model(torch.zeros(1, 3, h, w))
    with pytest.raises(ValueError, match="give stem a map of 34 x 32 .* not divisible by 4"):
        model(torch.zeros(1, 3, 34, 32))
    assert maxvit("mixer", image_size=64)(torch.zeros(1, 3, 64, 64)).shape == (1, 10)


def test_the_named_network_is_the_vision_transformer_but_for_its_parts_and_depth():
    model = maxvit("mixer").eval()
    assert CONFIGS["mixer"] is MIXER and sum(p.numel() for p in model.parameters()) == 771_850
    differs = ("depths", "window", "parts", "stem", "head")
    assert replace(MIXER, **{name: getattr(VIT, name) for name in differs}) == VIT
    assert [tuple(x.shape) for x in model.features(torch.zeros(2, 3, 32, 32))] == [(2, 128, 8, 8)]
    assert "window=8" in str(model)


def test_it_says_why_there_are_no_weights_to_show():
    assert not hasattr(MixerLayer, "scores")
    assert "no attention weights" in MixerLayer.why_no_weights


def test_a_saved_network_comes_back(tmp_path):
    config = replace(MIXER, dims=(16,), depths=(2,), stem_dim=16, window=4, image_size=16)
    model, images = randomize(MaxViT(config)).float(), noise(2, 3, 16, 16).float()
    save(model, tmp_path / "mixer")
    loaded = load(tmp_path / "mixer")
    assert loaded.config == config and torch.equal(loaded(images), model(images))


def test_every_weight_learns():
    torch.manual_seed(0)
    ours = MixerLayer(8, 4)
    ours(torch.randn(2, 8, 4, 4)).square().sum().backward()
    assert all((parameter.grad != 0).any() for parameter in ours.parameters())


def test_a_dropped_branch_leaves_the_shortcut():
    ours, x = MixerLayer(8, 4, drop_path=1 - 1e-6).train(), torch.randn(2, 8, 4, 4)
    assert torch.equal(ours(x), x)
