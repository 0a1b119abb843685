"""MBConv and its parts against the same written out in single steps, in float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from helpers import few, noise, normalized, randomize
from hypothesis import given, strategies as st

from minimaxvit import MBConv, SqueezeExcite
from minimaxvit.layers import BatchNorm, Conv3x3, StochasticDepth, gelu
from minimaxvit.mbconv import Downsample

sides = st.integers(1, 7)


def tanh_gelu(x):
    return x / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def padding_before(side, stride):
    """How many zeros TensorFlow's 'SAME' puts before a side; all others that it needs go after."""
    return max((math.ceil(side / stride) - 1) * stride + 3 - side, 0) // 2


def same_conv3x3(x, weight, stride, groups=1):
    """A 3x3 convolution by the definition: read each pixel's surroundings, zeros outside."""
    b, _, h, w = x.shape
    before = padding_before(h, stride), padding_before(w, stride)
    padded = torch.zeros(b, x.shape[1], h + 4, w + 4, dtype=x.dtype)
    padded[:, :, before[0] : before[0] + h, before[1] : before[1] + w] = x
    out = torch.zeros(b, len(weight), math.ceil(h / stride), math.ceil(w / stride), dtype=x.dtype)
    share = x.shape[1] // groups  # input channels that an output channel reads
    for channel in range(len(weight)):
        first = channel // (len(weight) // groups) * share
        for row in range(out.shape[2]):
            for column in range(out.shape[3]):
                top, left = stride * row, stride * column
                seen = padded[:, first : first + share, top : top + 3, left : left + 3]
                out[:, channel, row, column] = (seen * weight[channel]).sum((1, 2, 3))
    return out


def pointwise(x, conv):
    y = torch.einsum("bchw,oc->bohw", x, conv.weight[:, :, 0, 0])
    return y if conv.bias is None else y + conv.bias[:, None, None]


def squeeze_and_excite(x, se):
    pooled = x.sum((2, 3), keepdim=True) / (x.shape[2] * x.shape[3])
    squeezed = pointwise(pooled, se.squeeze)
    squeezed = squeezed / (1 + torch.exp(-squeezed))  # SiLU
    return x / (1 + torch.exp(-pointwise(squeezed, se.excite)))


def pooled_by_two(x):
    """The mean of each 2x2 square; at an odd side, of the part that lies on the map."""
    rows = [x[:, :, i : i + 2] for i in range(0, x.shape[2], 2)]
    squares = [[row[..., j : j + 2] for j in range(0, x.shape[3], 2)] for row in rows]
    return torch.stack([torch.stack([s.mean((2, 3)) for s in row], -1) for row in squares], -2)


@few
@given(h=sides, w=sides, stride=st.sampled_from([1, 2]))
def test_padding_is_that_of_tensorflow(h, w, stride):
    conv = randomize(Conv3x3(2, 3, stride, bias=False))
    x = noise(2, 2, h, w)
    torch.testing.assert_close(conv(x), same_conv3x3(x, conv.weight, stride))


def test_stride_two_pads_an_even_side_only_after_it_and_an_odd_side_on_both_ends():
    conv = Conv3x3(1, 1, stride=2, bias=False)
    torch.nn.init.ones_(conv.weight)
    # Of ones, the sum counts the pixels of the map under the kernel.
    assert conv(torch.ones(1, 1, 4, 5))[0, 0].tolist() == [[6, 9, 6], [4, 6, 4]]


@few
@given(h=sides, w=sides)
def test_downsample_averages_what_lies_on_the_map(h, w):
    x = noise(2, 3, h, w)
    torch.testing.assert_close(Downsample(3, 3, stride=2)(x), pooled_by_two(x))


def test_downsample_pools_then_projects_and_does_neither_without_need():
    x = noise(2, 3, 4, 6)
    wider = randomize(Downsample(3, 5, stride=2))
    torch.testing.assert_close(wider(x), pointwise(pooled_by_two(x), wider.project))
    assert list(Downsample(3, 3, stride=2).parameters()) == []
    assert torch.equal(Downsample(3, 3, stride=1)(x), x)


def test_squeeze_excite_is_the_formula():
    se = randomize(SqueezeExcite(12, 3))
    x = noise(2, 12, 4, 5)
    torch.testing.assert_close(se(x), squeeze_and_excite(x, se))


def test_gelu_is_the_tanh_approximation():
    x = torch.linspace(-4, 4, 101, dtype=torch.float64)
    torch.testing.assert_close(gelu(x), tanh_gelu(x))
    assert (gelu(x) - F.gelu(x)).abs().max() > 1e-4


def test_batch_norm_has_the_eps_and_momentum_of_the_official_code():
    norm = BatchNorm(2).double()
    x = 1e-3 * noise(8, 2, 4, 4) + 5
    torch.testing.assert_close(norm(x), normalized(x, norm))
    torch.testing.assert_close(norm.running_mean, 0.01 * x.mean((0, 2, 3)))  # 0 at first


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("in_channels, channels, expansion", [(8, 8, 4), (6, 8, 4), (8, 4, 2)])
def test_mbconv_is_its_steps_written_out(in_channels, channels, expansion, stride, training):
    conv = randomize(MBConv(in_channels, channels, stride, expansion)).train(training)
    x = noise(3, in_channels, 5, 6)

    y = pointwise(normalized(x, conv.norm), conv.expand)
    y = tanh_gelu(normalized(y, conv.expand_norm))
    y = same_conv3x3(y, conv.depthwise.weight, stride, groups=expansion * channels)
    y = tanh_gelu(normalized(y, conv.depthwise_norm))
    y = pointwise(squeeze_and_excite(y, conv.squeeze_excite), conv.shrink)
    shortcut = pooled_by_two(x) if stride == 2 else x
    if in_channels != channels:
        shortcut = pointwise(shortcut, conv.shortcut.project)

    torch.testing.assert_close(conv(x), shortcut + y)


def test_mbconv_expands_and_squeezes_by_its_output_channels():
    # Counted from the input, 64 wide, these would be 256 and 16.
    conv = MBConv(64, 128)
    assert conv.depthwise.weight.shape == (512, 1, 3, 3)
    assert conv.squeeze_excite.squeeze.weight.shape == (32, 512, 1, 1)


def test_only_convolutions_without_a_norm_after_them_have_a_bias():
    conv = MBConv(64, 128)
    biased = {name for name, m in conv.named_modules() if getattr(m, "bias", None) is not None}
    norms = {"norm", "expand_norm", "depthwise_norm"}
    squeeze_excite = {"squeeze_excite.squeeze", "squeeze_excite.excite"}
    assert biased - norms == {"shrink", "shortcut.project", *squeeze_excite}


@pytest.mark.parametrize("shape", [(4000, 3, 2, 2), (4000, 2, 2, 3)])
def test_stochastic_depth_drops_whole_images_and_keeps_the_mean(shape):
    torch.manual_seed(0)
    dropped = StochasticDepth(0.25)(torch.ones(shape)).flatten(1)
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert set(dropped.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert abs(dropped.mean() - 1) < 0.03  # four times its standard deviation


def test_stochastic_depth_does_nothing_in_evaluation_or_at_rate_zero():
    x = noise(8, 3, 2, 2)
    assert torch.equal(StochasticDepth(0.9).eval()(x), x)
    assert torch.equal(StochasticDepth(0.0).train()(x), x)


@pytest.mark.parametrize("in_channels, stride", [(8, 1), (4, 2)])
def test_a_dropped_branch_leaves_the_shortcut(in_channels, stride):
    conv = MBConv(in_channels, 8, stride, drop_path=1 - 1e-6).train()
    x = torch.randn(4, in_channels, 4, 4)
    assert torch.equal(conv(x), conv.shortcut(x))
