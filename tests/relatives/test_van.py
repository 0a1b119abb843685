"""VAN's layers are their formulas, tap by tap, and read, cost and follow what they say.

timm has no VAN. The formulas are those of the authors' code, whose modules are put together here.
"""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import noise, randomize, said_reads
from relatives.proofs import follows, multiply_adds, reads
from torch import nn

from minimaxvit import CONFIGS, MaxViT, load, maxvit, save
from minimaxvit.relatives import VAN, ConvFeedForward, LargeKernelAttention

KINDS = pytest.mark.parametrize("kind", [LargeKernelAttention, ConvFeedForward])
MAPS = pytest.mark.parametrize("h, w", [(8, 8), (5, 13), (1, 1)])


def randomized(module):
    """`randomize` knows no scales of channels, which start alike and small."""
    randomize(module)
    for part in module.modules():
        if isinstance(part, LargeKernelAttention | ConvFeedForward):
            nn.init.normal_(part.scale)
    return module


def layer(kind=LargeKernelAttention, dim=6, **options):
    return randomized(kind(dim, **options))


def same(found, expected):
    return torch.allclose(found, expected, rtol=0, atol=1e-9)


def normalized(x, norm):
    mean, var, weight, bias = (
        each[:, None, None]
        for each in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def each_token(conv, x):
    """A 1x1 convolution as the product of matrices that it is."""
    y = torch.einsum("oc,bchw->bohw", conv.weight[:, :, 0, 0], x)
    return y + conv.bias[:, None, None]


def tap_by_tap(conv, x, reach, apart=1):
    """A depthwise convolution as a loop over tokens and taps; what is off the map is 0."""
    h, w = x.shape[2:]
    out = conv.bias[:, None, None].expand_as(x).clone()
    for row in range(h):
        for column in range(w):
            for down in range(-reach, reach + 1):
                for right in range(-reach, reach + 1):
                    i, j = row + apart * down, column + apart * right
                    if 0 <= i < h and 0 <= j < w:
                        tap = conv.weight[:, 0, down + reach, right + reach]
                        out[:, :, row, column] += tap * x[:, :, i, j]
    return out


@MAPS
def test_large_kernel_attention_is_its_loop_over_tokens(h, w):
    ours, x = layer(), noise(2, 6, h, w)
    with torch.no_grad():
        y = normalized(x, ours.norm)
        u = F.gelu(each_token(ours.value, y))
        seen = tap_by_tap(ours.far, tap_by_tap(ours.near, u, 2), 3, apart=3)
        out = each_token(ours.output, u * each_token(ours.mix, seen)) + y
        assert same(ours(x), x + ours.scale * out)


@MAPS
def test_the_feed_forward_is_its_loop_over_tokens(h, w):
    ours, x = layer(ConvFeedForward, expansion=3), noise(2, 6, h, w)
    with torch.no_grad():
        y = each_token(ours.expand, normalized(x, ours.norm))
        y = each_token(ours.shrink, F.gelu(tap_by_tap(ours.depthwise, y, 1)))
        assert same(ours(x), x + ours.scale * y)


def kernel_of(ours):
    """The one 23 x 23 kernel that the two depthwise convolutions are, in the middle of a map."""
    point = torch.zeros(1, 6, 45, 45, dtype=torch.float64)
    point[:, :, 22, 22] = 1
    with torch.no_grad():
        ours.near.bias.zero_()
        ours.far.bias.zero_()
        return ours.far(ours.near(point))[0].flip(1, 2)


def test_the_two_convolutions_are_one_of_23_by_23_tokens_and_not_of_21_by_21():
    ours, x = layer(), noise(2, 6, 25, 24)
    kernel = kernel_of(ours)
    assert (kernel[:, 11:-11, 11:-11] != 0).all() and kernel[0].count_nonzero() == 529
    wide = F.conv2d(x, kernel[:, None, 11:-11, 11:-11], padding=11, groups=6)
    apart = ours.far(ours.near(x))
    inside = (..., slice(9, -9), slice(9, -9))  # where DWD7,3 meets no edge
    assert same(apart[inside], wide[inside])
    assert not same(apart, wide)  # near one, what DW5 finds outside the map is cut off
    inner = F.conv2d(x, kernel[:, None, 12:-12, 12:-12], padding=10, groups=6)
    assert not same(apart[inside], inner[inside])


class SigmoidGate(LargeKernelAttention):
    def gate(self, u):
        u = self.activation(u)
        return u * torch.sigmoid(self.mix(self.far(self.near(u))))


class AddsInsteadOfMultiplying(LargeKernelAttention):
    def gate(self, u):
        u = self.activation(u)
        return u + self.mix(self.far(self.near(u)))


class GatesBeforeActivating(LargeKernelAttention):
    def gate(self, u):
        return u * self.mix(self.far(self.near(self.activation(u))))


class FarBeforeNear(LargeKernelAttention):
    def gate(self, u):
        u = self.activation(u)
        return u * self.mix(self.near(self.far(u)))


class WithoutTheInnerShortcut(LargeKernelAttention):
    def forward(self, x):
        return x + self.scale * self.output(self.gate(self.value(self.norm(x))))


class ActivatesBeforeTheConvolution(ConvFeedForward):
    def forward(self, x):
        y = self.depthwise(self.activation(self.expand(self.norm(x))))
        return x + self.scale * self.shrink(y)


WRONG = LargeKernelAttention.__subclasses__() + ConvFeedForward.__subclasses__()


@pytest.mark.parametrize("wrong", WRONG)
def test_what_ports_get_wrong_is_caught(wrong):
    ours, planted, x = layer(wrong.__base__), layer(wrong), noise(2, 6, 8, 9)
    assert ours.state_dict().keys() == planted.state_dict().keys()
    assert (planted(x) - ours(x)).abs().max() > 1e-2


@pytest.mark.parametrize("h, w", [(13, 13), (3, 25), (14, 2)])
def test_attention_reads_what_its_steps_say(h, w):
    found = reads(layer(dim=2), 2, h, w)
    near = [(torch.arange(n)[:, None] - torch.arange(n)).abs() <= 11 for n in (h, w)]
    assert torch.equal(found, torch.kron(*near))
    (add,) = layer().steps()
    assert () in add.branches  # the shortcut, which the kernel hides


@pytest.mark.parametrize("h, w", [(6, 6), (3, 8)])
def test_the_feed_forward_reads_what_its_steps_say(h, w):
    found = reads(layer(ConvFeedForward, dim=2, expansion=2), 2, h, w)
    near = [(torch.arange(n)[:, None] - torch.arange(n)).abs() <= 1 for n in (h, w)]
    assert torch.equal(found, torch.kron(*near)) and found.sum(1).max() == 9
    (add,) = layer(ConvFeedForward).steps()
    assert () in add.branches


def test_a_layer_reads_529_tokens_which_is_all_of_8_by_8_and_two_make_16_by_16_whole():
    first, second = layer(dim=2), layer(dim=2)
    assert said_reads(first.steps(), 25, 25)[12 * 25 + 12].sum() == 529
    assert said_reads(first.steps(), 8, 8).all() and said_reads(first.steps(), 12, 12).all()
    one, two = (said_reads(steps, 16, 16) for steps in (first.steps(), 2 * first.steps()))
    assert not one.all() and two.all() and one[0].sum() == 144
    x = noise(1, 2, 16, 16).requires_grad_()
    for parts, said in (([first], one), ([first, second], two)):
        (gradient,) = torch.autograd.grad(nn.Sequential(*parts)(x)[0, :, 0, 0].sum(), x)
        assert torch.equal((gradient[0] != 0).any(0).flatten(), said[0])


@pytest.mark.parametrize("h, w, millions", [(8, 8, 1.09), (16, 16, 4.36), (32, 32, 17.4)])
def test_multiply_adds_grow_with_the_tokens_alone(h, w, millions):
    n, c = h * w, 64
    attention = n * (74 * c + 3 * c**2)  # 25 + 49 taps, and three 1x1 convolutions
    assert multiply_adds(layer(dim=c), c, h, w) == attention
    assert attention / 1e6 == pytest.approx(millions, rel=5e-3)
    feed_forward = n * (2 * 2 * c**2 + 9 * 2 * c)  # twice as wide inside
    assert multiply_adds(layer(ConvFeedForward, c, expansion=2), c, h, w) == feed_forward


@KINDS
def test_a_layer_follows_shifts_but_for_its_zeros_at_the_edges(kind):
    ours = layer(kind)
    assert not follows(ours, 6, 8, 9, 1, 0) and not follows(ours, 6, 8, 9, 0, 3)
    for name, conv in list(ours.named_children()):
        if isinstance(conv, nn.Conv2d) and conv.groups > 1:
            sizes = {
                "kernel_size": conv.kernel_size,
                "padding": conv.padding,
                "groups": conv.groups,
            }
            channels = conv.in_channels
            around = nn.Conv2d(
                channels, channels, dilation=conv.dilation, padding_mode="circular", **sizes
            )
            around.double().load_state_dict(conv.state_dict())
            setattr(ours, name, around)
    assert follows(ours, 6, 12, 13, 1, 0) and follows(ours, 6, 12, 13, 3, 8)


def test_what_gates_is_neither_held_to_one_nor_kept_above_zero():
    ours, x = layer(), noise(2, 6, 8, 8)
    found = ours.mix(ours.far(ours.near(ours.activation(ours.value(ours.norm(x))))))
    assert found.min() < -0.1 and found.max() > 1.1


def test_no_size_but_an_empty_one_is_refused():
    model = maxvit("van")
    assert model(torch.zeros(1, 3, 37, 26)).shape == (1, 10)
    with pytest.raises(ValueError, match="images of 0 x 32 give stem .* height 1 and width 32"):
        model(torch.zeros(1, 3, 0, 32))


def test_the_named_network_is_compact_but_for_its_parts_and_depths():
    model = maxvit("van").eval()
    assert CONFIGS["van"] is VAN and sum(p.numel() for p in model.parameters()) == 1_078_730
    compact = CONFIGS["compact"]
    differs = ("depths", "window", "parts")
    assert replace(VAN, **{name: getattr(compact, name) for name in differs}) == compact
    maps = [tuple(x.shape[1:]) for x in model.features(torch.zeros(2, 3, 32, 32))]
    assert maps == [(32, 16, 16), (96, 8, 8), (192, 4, 4)]


def test_it_says_why_there_are_no_weights_to_show():
    assert not hasattr(LargeKernelAttention, "scores")
    assert "no weight between two tokens" in LargeKernelAttention.why_no_weights


def test_a_saved_network_comes_back(tmp_path):
    config = replace(
        VAN, dims=(8, 12), depths=(1, 1), strides=(1, 2), stem_dim=8, parts=VAN.parts[1:]
    )
    model, images = randomized(MaxViT(config)).float(), noise(2, 3, 16, 16).float()
    save(model, tmp_path / "van")
    loaded = load(tmp_path / "van")
    assert loaded.config == config and torch.equal(loaded(images), model(images))


@KINDS
def test_scales_begin_small_and_learn(kind):
    torch.manual_seed(0)
    ours = kind(8)
    assert (ours.scale == 0.01).all()
    ours(torch.randn(2, 8, 5, 5)).square().sum().backward()
    assert all((parameter.grad != 0).any() for parameter in ours.parameters())


@KINDS
def test_a_dropped_branch_leaves_the_shortcut(kind):
    ours, x = kind(8, drop_path=1 - 1e-6).train(), torch.randn(2, 8, 4, 4)
    assert torch.equal(ours(x), x)
