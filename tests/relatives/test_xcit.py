"""XCiT's layer and its two mixers are timm's, and read, cost and follow what they say."""

from dataclasses import replace
from functools import partial

import pytest
import timm.models.xcit as in_timm
import torch
import torch.nn.functional as F
from helpers import noise, randomize, said_reads
from relatives.proofs import follows, multiply_adds, reads
from torch import nn

from minimaxvit import CONFIGS, MaxViT, load, maxvit, save
from minimaxvit.relatives import VIT, XCIT, CrossCovarianceAttention, XCiTLayer
from minimaxvit.steps import Add, Gate

MAPS = pytest.mark.parametrize("h, w", [(4, 4), (3, 7), (1, 2)])


def randomized(module):
    """`randomize` knows no scales, temperatures and tokens, which start alike and hide errors."""
    randomize(module)
    for part in module.modules():
        for name in ("scales", "temperature", "class_token"):
            if isinstance(getattr(part, name, None), nn.Parameter):
                nn.init.normal_(getattr(part, name), mean=1)
    return module


def attention(kind=CrossCovarianceAttention, dim=64, head_dim=32):
    return randomized(kind(dim, head_dim))


def layer(kind=XCiTLayer, dim=32, **options):
    return randomized(kind(dim, **options))


def same(found, expected):
    return torch.allclose(found, expected, rtol=0, atol=1e-9)


def packed(ours):
    """Our attention's weights under timm's names."""
    three = (ours.query, ours.key, ours.value)
    return {
        "temperature": ours.temperature,
        "qkv.weight": torch.cat([each.weight for each in three]),
        "qkv.bias": torch.cat([each.bias for each in three]),
        "proj.weight": ours.output.weight,
        "proj.bias": ours.output.bias,
    }


def timm_attention(ours):
    dim, heads = ours.query.in_features, len(ours.temperature)
    theirs = in_timm.XCA(dim, heads, qkv_bias=True).double().eval()
    theirs.load_state_dict(packed(ours))
    return theirs


def timm_layer(ours, dim, expansion):
    theirs = in_timm.XCABlock(
        dim,
        dim // 32,
        mlp_ratio=expansion,
        qkv_bias=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
    )
    state = {f"attn.{name}": tensor for name, tensor in packed(ours.attention).items()}
    modules = {"norm1": ours.norms[0], "norm3": ours.norms[1], "norm2": ours.norms[2]} | {
        "local_mp.conv1": ours.conv1,
        "local_mp.conv2": ours.conv2,
        "local_mp.bn": ours.conv_norm,
        "mlp.fc1": ours.feed_forward.expand,
        "mlp.fc2": ours.feed_forward.shrink,
    }
    for theirs_name, module in modules.items():
        state |= {f"{theirs_name}.{name}": each for name, each in module.state_dict().items()}
    for number, scale in zip((1, 3, 2), ours.scales, strict=True):
        state[f"gamma{number}"] = scale
    theirs.double().eval().load_state_dict(state)
    return theirs


def tokens(x):
    return x.flatten(2).mT


@pytest.mark.parametrize("dim, head_dim, t", [(64, 32, 9), (64, 16, 20), (24, 8, 1)])
def test_attention_is_that_of_timm(dim, head_dim, t):
    ours, x = attention(dim=dim, head_dim=head_dim), noise(2, t, dim)
    assert same(ours(x), timm_attention(ours)(x))


@MAPS
@pytest.mark.parametrize("dim, expansion", [(32, 4), (64, 2)])
def test_a_layer_is_that_of_timm(dim, expansion, h, w):
    ours, x = layer(dim=dim, expansion=expansion), noise(2, dim, h, w)
    expected = timm_layer(ours, dim, expansion)(tokens(x), h, w)
    assert same(tokens(ours(x)), expected)


@MAPS
def test_local_patch_interaction_is_that_of_timm(h, w):
    ours, x = layer(), noise(2, 32, h, w)
    theirs = timm_layer(ours, 32, 4).local_mp(tokens(x), h, w)
    assert same(ours.interact(x.permute(0, 2, 3, 1)).flatten(1, 2), theirs)


def test_attention_is_its_loop_over_pairs_of_channels():
    ours, x = attention(dim=24, head_dim=8), noise(2, 5, 24)
    query, key, value = (f(x) for f in (ours.query, ours.key, ours.value))  # (b, t, c)
    out = torch.zeros_like(value)
    for channel in range(24):
        head = channel // 8
        others = range(8 * head, 8 * head + 8)
        q = query[:, :, channel] / query[:, :, channel].square().sum(1, keepdim=True).sqrt()
        logits = []
        for other in others:
            k = key[:, :, other] / key[:, :, other].square().sum(1, keepdim=True).sqrt()
            logits.append((q * k).sum(1) * ours.temperature[head, 0, 0])
        weights = torch.stack(logits).softmax(0)  # (d, b)
        for weight, other in zip(weights, others, strict=True):
            out[:, :, channel] += weight[:, None] * value[:, :, other]
    assert same(ours(x), ours.output(out))


@MAPS
def test_a_layer_is_its_steps_written_out(h, w):
    ours, x = layer(), noise(2, 32, h, w)

    def norm(y, number):
        mean, var = y.mean(1, keepdim=True), y.var(1, False, keepdim=True)
        weight, bias = (getattr(ours.norms[number], kind) for kind in ("weight", "bias"))
        return (y - mean) / (var + 1e-6).sqrt() * weight[:, None, None] + bias[:, None, None]

    def convolve(y, conv):
        padded, out = F.pad(y, (1, 1, 1, 1)), conv.bias[:, None, None]
        for down in range(3):
            for right in range(3):
                tap = conv.weight[:, 0, down, right, None, None]
                out = out + tap * padded[:, :, down : down + h, right : right + w]
        return out

    scale, batch = ours.scales[:, :, None, None], ours.conv_norm
    y = x + scale[0] * ours.attention(tokens(norm(x, 0))).mT.view_as(x)
    z = F.gelu(convolve(norm(y, 1), ours.conv1))
    mean, var, weight, bias = (
        each[:, None, None]
        for each in (batch.running_mean, batch.running_var, batch.weight, batch.bias)
    )
    z = (z - mean) / (var + 1e-5).sqrt() * weight + bias
    y = y + scale[1] * convolve(z, ours.conv2)
    z = ours.feed_forward(tokens(norm(y, 2))).mT.view_as(x)
    assert same(ours(x), y + scale[2] * z)


class NormalizesOverChannels(CrossCovarianceAttention):
    def channel_weights(self, x):
        query, key = (F.normalize(self.split_heads(f(x)), dim=-2) for f in (self.query, self.key))
        return (self.temperature * (query @ key.mT)).softmax(-1)


class ScalesByHeadWidth(CrossCovarianceAttention):
    def channel_weights(self, x):
        query, key = (self.split_heads(f(x)) for f in (self.query, self.key))
        return (query @ key.mT * self.head_dim**-0.5).softmax(-1)


class DividesByTheTemperature(CrossCovarianceAttention):
    def channel_weights(self, x):
        query, key = (F.normalize(self.split_heads(f(x)), dim=-1) for f in (self.query, self.key))
        return (query @ key.mT / self.temperature).softmax(-1)


class Transposed(CrossCovarianceAttention):
    def channel_weights(self, x):
        query, key = (F.normalize(self.split_heads(f(x)), dim=-1) for f in (self.query, self.key))
        return (self.temperature * (query @ key.mT)).softmax(-2)


@pytest.mark.parametrize("wrong", CrossCovarianceAttention.__subclasses__())
def test_what_ports_get_wrong_of_attention_is_caught(wrong):
    ours, planted, x = attention(), attention(wrong), noise(2, 9, 64)
    theirs = timm_attention(ours)(x)
    assert same(ours(x), theirs)
    assert (planted(x) - theirs).abs().max() > 1e-2


class NormBeforeTheActivation(XCiTLayer):
    def interact(self, x):
        y = self.activation(self.conv_norm(self.conv1(x.permute(0, 3, 1, 2))))
        return self.conv2(y).permute(0, 2, 3, 1)


class InteractsLast(XCiTLayer):
    def forward(self, x):
        x = x.permute(0, 2, 3, 1)
        x = x + self.scales[0] * self.attend(self.norms[0](x))
        x = x + self.scales[2] * self.feed_forward(self.norms[2](x))
        x = x + self.scales[1] * self.interact(self.norms[1](x))
        return x.permute(0, 3, 1, 2)


@pytest.mark.parametrize("wrong", XCiTLayer.__subclasses__())
def test_what_ports_get_wrong_of_a_layer_is_caught(wrong):
    ours, planted, x = layer(), layer(wrong), noise(2, 32, 4, 5)
    theirs = timm_layer(ours, 32, 4)(tokens(x), 4, 5)
    assert same(tokens(ours(x)), theirs)
    assert (tokens(planted(x)) - theirs).abs().max() > 1e-2


def held(ours):
    """A layer whose gate is held constant, as its steps are read: the channels' weights as is."""
    weights = ours.attention.channel_weights
    ours.attention.channel_weights = lambda x: weights(x).detach()
    return ours


@pytest.mark.parametrize("h, w", [(5, 5), (3, 8)])
def test_a_layer_reads_what_its_steps_say_while_its_gate_is_held(h, w):
    found = reads(held(layer()), 32, h, w)
    near = [(torch.arange(n)[:, None] - torch.arange(n)).abs() <= 2 for n in (h, w)]
    assert torch.equal(found, torch.kron(*near)) and found.sum(1).max() <= 25
    gate, local = layer().steps()
    assert gate == Add(((), (Gate(),))) and () in local.branches


def test_its_gate_depends_on_the_whole_map_and_little():
    x = noise(1, 32, 6, 6).requires_grad_()
    (free,) = torch.autograd.grad(layer()(x)[0, :, 0, 0] @ noise(32), x)
    (kept,) = torch.autograd.grad(held(layer())(x)[0, :, 0, 0] @ noise(32), x)
    free, kept = (each[0].abs().amax(0) for each in (free, kept))
    assert (free > 0).all() and kept.count_nonzero() == 9  # a corner of the 5 x 5
    assert free[kept == 0].max() < 0.1 * free.max()


def test_while_gates_are_held_eight_layers_make_a_map_of_16_by_16_whole():
    steps = layer().steps()
    assert not said_reads(7 * steps, 16, 16).all() and said_reads(8 * steps, 16, 16).all()


@pytest.mark.parametrize("t, millions", [(64, 1.18), (256, 4.72), (1024, 18.9)])
def test_multiply_adds_grow_with_the_tokens_alone(t, millions):
    c, heads = 64, 4
    expected = 4 * t * c**2 + 2 * t * c**2 // heads  # four projections, two products of channels
    ours = attention(dim=c, head_dim=c // heads)
    assert multiply_adds(lambda x: ours(tokens(x)), c, t, 1) == expected
    assert expected / 1e6 == pytest.approx(millions, rel=5e-3)
    convolutions, feed_forward, half = 2 * 9 * t * c, 2 * 2 * t * c**2, t * c**2 // 4
    whole = multiply_adds(layer(dim=c, expansion=2), c, t, 1)
    assert (
        whole == expected + 2 * half + convolutions + feed_forward
    )  # its 2 heads are twice as wide


def test_attention_does_not_know_where_tokens_are_and_its_gate_not_who_asks():
    ours, x = attention(), noise(2, 9, 64)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    assert same(ours(x[:, order]), ours(x)[:, order])
    assert same(ours.channel_weights(x[:, order]), ours.channel_weights(x))
    assert same(ours.channel_weights(x).sum(-1), torch.ones(2, 2, 32).double())


def test_neighbors_alone_tell_a_layer_where_tokens_are():
    ours = layer()
    assert not follows(ours, 32, 6, 7, 1, 0) and not follows(ours, 32, 6, 7, 0, 2)
    for name in ("conv1", "conv2"):
        around = nn.Conv2d(32, 32, 3, padding=1, groups=32, padding_mode="circular").double()
        around.load_state_dict(getattr(ours, name).state_dict())
        setattr(ours, name, around)
    assert follows(ours, 32, 6, 7, 1, 0) and follows(ours, 32, 6, 7, 3, 5)


def test_bad_sizes_are_refused_by_name():
    model = maxvit("xcit")
    with pytest.raises(ValueError, match="give stem a map of 34 x 32 .* not divisible by 4"):
        model(torch.zeros(1, 3, 34, 32))
    for build in (XCiTLayer, CrossCovarianceAttention):
        with pytest.raises(
            ValueError, match="48 channels do not divide into heads of dimension 32"
        ):
            build(48)
    assert model(torch.zeros(1, 3, 36, 64)).shape == (1, 10)


def test_the_named_network_has_patches_and_widths_of_the_vision_transformer():
    model = maxvit("xcit").eval()
    assert CONFIGS["xcit"] is XCIT and sum(p.numel() for p in model.parameters()) == 953_118
    differs = ("dims", "depths", "parts", "stem")
    assert replace(XCIT, **{name: getattr(VIT, name) for name in differs}) == VIT
    maps = model.features(torch.zeros(2, 3, 32, 32))
    assert [tuple(x.shape) for x in maps] == 2 * [(2, 128, 8, 8)]
    assert torch.equal(*maps)  # class attention leaves the map as it is


def test_it_says_why_there_are_no_weights_to_show():
    assert not hasattr(XCiTLayer, "scores")
    assert "mixes channels, not tokens" in XCiTLayer.why_no_weights


def test_a_saved_network_comes_back(tmp_path):
    config = replace(XCIT, dims=(32, 32), depths=(2, 1), stem_dim=32, image_size=16)
    model, images = randomized(MaxViT(config)).float(), noise(2, 3, 16, 16).float()
    save(model, tmp_path / "xcit")
    loaded = load(tmp_path / "xcit")
    assert loaded.config == config and torch.equal(loaded(images), model(images))


def test_scales_and_temperatures_begin_at_one_and_learn():
    torch.manual_seed(0)
    ours = XCiTLayer(32)
    assert (ours.scales == 1).all() and (ours.attention.temperature == 1).all()
    ours(torch.randn(2, 32, 4, 4)).square().sum().backward()
    assert all((parameter.grad != 0).any() for parameter in ours.parameters())


def test_a_dropped_branch_leaves_the_shortcut():
    ours, x = XCiTLayer(32, drop_path=1 - 1e-6).train(), torch.randn(2, 32, 4, 4)
    assert torch.equal(ours(x), x)
