"""Bugs of public ports of MaxViT, each planted here and caught by a check that names it.

A check takes a part, ours or a planted one, and looks at what it does. Its message is the bug.
"""

import re
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minimaxvit import (
    CONFIGS,
    BlockAttention,
    FeedForward,
    MaxViT,
    MBConv,
    RelativeAttention,
    RelativePositionBias,
    block_partition,
    block_reverse,
    grid_partition,
    grid_reverse,
)
from minimaxvit.layers import Conv3x3, StochasticDepth

PLANTED = []  # the bug's name, its check, our own part and the planted one; functions build both


def plant(bug, check, ours):
    """Register the decorated function, which builds a part with the bug that `check` is for."""

    def register(build):
        PLANTED.append((bug, check, ours, build))
        return build

    return register


def plain(attention):
    """Values and outputs as they come, scores and biases nil: a check sets the rest."""
    with torch.no_grad():
        for layer in (attention.query, attention.key, attention.value, attention.output):
            layer.weight.copy_(torch.eye(len(layer.weight)))
            layer.bias.zero_()
        attention.query.weight.zero_()
        attention.bias.table.zero_()
    return attention


# ChristophReich1996/MaxViT, after the paper's "attention head size 32".


def check_heads(attention):
    # If all channels have the same values, then channels differ only where their heads do.
    plain(attention)
    channels = len(attention.value.weight)
    nn.init.ones_(attention.value.weight)
    nn.init.eye_(attention.query.weight)
    out = attention(torch.randn(1, 1, 16, channels) / channels**0.5)[0, 0, 0]
    heads = 1 + sum(not torch.allclose(out[i], out[i - 1]) for i in range(1, channels))
    assert heads == channels // 32, "32 heads instead of heads of width 32"


@plant("32 heads instead of heads of width 32", check_heads, lambda: RelativeAttention(128, 4))
def thirty_two_heads():
    return RelativeAttention(128, 4, head_dim=128 // 32)


# ChristophReich1996/MaxViT issue 2, found by the paper's author.


def check_grid(partition):
    tokens = torch.arange(64).view(1, 8, 8, 1)
    first = set(partition(tokens, 4)[0, 0].flatten().tolist())
    spread = {8 * row + column for row in (0, 2, 4, 6) for column in (0, 2, 4, 6)}
    assert first == spread, "a grid partition that is a window partition"


@plant("a grid partition that is a window partition", check_grid, lambda: grid_partition)
def windows_for_a_grid():
    return block_partition


# ChristophReich1996/MaxViT issue 8.


def check_residual(layer):
    # With all its weights at zero every branch is silent.
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(2, 32, 4, 4)
    assert torch.equal(layer(x), x), "* for + in a residual"


@plant("* for + in a residual", check_residual, lambda: BlockAttention(32, 2))
def times_for_plus():
    class Times(BlockAttention):
        def forward(self, x):
            x = x.permute(0, 2, 3, 1)
            x = x * self.attend(self.attention_norm(x))
            x = x + self.feed_forward(self.feed_forward_norm(x))
            return x.permute(0, 3, 1, 2)

    return Times(32, 2)


# lucidrains/vit-pytorch issue 223, and timm's rw models, which count from the input on purpose.


def depthwise_width(build, in_channels, channels):
    dims, conv = [], build(in_channels, channels)
    for module in conv.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.register_forward_hook(lambda _, maps, out: dims.append(maps[0].shape[1]))
    conv(torch.randn(1, in_channels, 4, 4))
    return dims[0] if dims else channels


def check_expansion(build):
    assert depthwise_width(build, 32, 32) == 4 * 32, "missing expansion"


def check_expansion_from_output(build):
    counted = depthwise_width(build, 32, 64)
    assert counted == 4 * 64, "expansion counted from the input, not the output"


@plant("missing expansion", check_expansion, lambda: MBConv)
def no_expansion():
    return partial(MBConv, expansion=1)


@plant("expansion counted from the input", check_expansion_from_output, lambda: MBConv)
def expansion_from_input():
    return lambda in_channels, channels: MBConv(
        in_channels, channels, expansion=4 * in_channels // channels
    )


# pytorch/vision PR 8312: Keras counts momentum from the other end.


def norms_of(module, kind):
    found = [part for part in module.modules() if isinstance(part, kind)]
    assert found, f"no {kind.__name__} found"
    return found


def check_batch_norm_momentum(module):
    for norm in norms_of(module, nn.BatchNorm2d):
        norm.reset_running_stats()
        norm.train()(torch.full((2, norm.num_features, 2, 2), 5.0))
        remembered = norm.running_mean / 5
        assert remembered.allclose(torch.tensor(0.01)), "batch norm momentum 0.99 unflipped"


def check_batch_norm_eps(module):
    for norm in norms_of(module, nn.BatchNorm2d):
        nn.init.constant_(norm.running_var, 1e-3)
        out = norm.eval()(torch.ones(1, norm.num_features, 1, 1))
        assert out.allclose(torch.tensor(2e-3**-0.5)), "batch norm eps 1e-5 instead of 1e-3"


def check_layer_norm_eps(module):
    for norm in norms_of(module, nn.LayerNorm):
        x = torch.tensor([1e-3, -1e-3]).repeat(norm.normalized_shape[0] // 2)
        expected = x / (1e-6 + 1e-5) ** 0.5
        assert norm(x).allclose(expected), "layer norm eps 1e-6 instead of 1e-5"


def with_norms(module, kind, **settings):
    for norm in norms_of(module, kind):
        vars(norm).update(settings)
    return module


@plant("batch norm momentum 0.99 unflipped", check_batch_norm_momentum, lambda: MBConv(8, 8))
def momentum_of_keras():
    return with_norms(MBConv(8, 8), nn.BatchNorm2d, momentum=0.99)


@plant("batch norm eps 1e-5", check_batch_norm_eps, lambda: MBConv(8, 8))
def batch_norm_eps_of_pytorch():
    return with_norms(MBConv(8, 8), nn.BatchNorm2d, eps=1e-5)


@plant("layer norm eps 1e-6", check_layer_norm_eps, lambda: BlockAttention(32, 2))
def layer_norm_eps_of_timm_rw():
    return with_norms(BlockAttention(32, 2), nn.LayerNorm, eps=1e-6)


# google-research/maxvit issue 7.


def check_bias_learns(bias):
    nn.init.normal_(bias.table)
    read = bias()
    gradient = torch.autograd.grad(read.sum(), bias.table)[0] if read.requires_grad else None
    learns = gradient is not None and gradient.ne(0).all()
    assert learns, "bias gathered once, so it never learns"


@plant(
    "bias gathered once, so it never learns", check_bias_learns, lambda: RelativePositionBias(2, 3)
)
def gathered_once():
    class Cached(RelativePositionBias):
        def __init__(self, heads, window):
            super().__init__(heads, window)
            self.register_buffer("read", super().forward().detach())

        def forward(self):
            return self.read

    return Cached(2, 3)


# Most ports: harmless alone, wrong with official weights.


def check_bias_offset(bias):
    nn.init.zeros_(bias.table)
    bias.table.data[:, 1, 2] = 1  # window 2: the center is [1, 1], so this is one to the right
    to_the_right = bias()[:, 0, 1].eq(1) & bias()[:, 1, 0].eq(0)
    assert to_the_right.all(), "offset query minus key: a mirrored bias"


@plant("offset query minus key", check_bias_offset, lambda: RelativePositionBias(2, 2))
def flipped():
    bias = RelativePositionBias(2, 2)
    bias.index = bias.index.T
    return bias


# torchvision.


def check_scale(attention):
    plain(attention)
    nn.init.ones_(attention.query.bias)
    x = torch.zeros(1, 1, 4, len(attention.value.weight))
    x[0, 0, 0] = 0.1  # in each head this key scores 32 * 0.1, the other three 0
    odds = torch.tensor(3.2 * 32**-0.5).exp()
    expected = 0.1 * odds / (odds + 3)
    named = "scores scaled by the width of the model, C ** -0.5, not of a head, 32 ** -0.5"
    assert attention(x).allclose(expected), named


@plant("scaled by the width of the model", check_scale, lambda: RelativeAttention(128, 2))
def scaled_by_the_model():
    attention = RelativeAttention(128, 2)
    attention.query.register_forward_hook(lambda _, x, query: query * (32 / 128) ** 0.5)
    return attention


# torchvision again: it counts the partitions of a map along its height alone.


def check_non_square(reverse):
    x = torch.arange(4 * 8).view(1, 4, 8, 1)
    try:
        same = torch.equal(reverse(grid_partition(x, 2), 2, 4, 8), x)
    except Exception:
        same = False
    assert same, "partitions counted from the height alone: a non-square map fails"


@plant("counted from the height alone", check_non_square, lambda: grid_reverse)
def counted_from_the_height():
    return lambda groups, grid, h, w: grid_reverse(groups, grid, h, h)


# ChristophReich1996/MaxViT: windows stood in the batch axis.


def check_drop_path(layer):
    torch.manual_seed(0)
    x = torch.randn(64, 32, 4, 4)
    kept = (layer.train()(x) != x).any(1).flatten(1)  # (b, h * w)
    assert torch.equal(kept.any(1), kept.all(1)), "drop path per window, not per picture"


@plant("drop path per window", check_drop_path, lambda: BlockAttention(32, 2, drop_path=0.5))
def dropped_per_window():
    class DropWindows(StochasticDepth):
        def forward(self, x):
            windows = block_partition(x, 2)
            dropped = super().forward(windows.flatten(0, 1).unsqueeze(1)).view_as(windows)
            return block_reverse(dropped, 2, *x.shape[1:3])

    layer = BlockAttention(32, 2)
    layer.drop = DropWindows(0.5)
    return layer


# Several ports.


def check_small(config):
    with torch.device("meta"):
        parameters = sum(p.numel() for p in MaxViT(config).parameters())
    assert parameters == 68_927_956, "wrong widths for small"


@plant("wrong widths for small", check_small, lambda: CONFIGS["small"])
def widths_of_tiny_but_for_the_first():
    return replace(CONFIGS["small"], dims=(96, 128, 256, 512))


def check_padding(conv):
    # A kernel that reads its middle alone shows which pixel that stands on.
    nn.init.dirac_(conv.weight)
    x = torch.arange(16.0).view(1, 1, 4, 4)
    read = conv(x)[0, 0].tolist()
    assert read == [[5, 7], [13, 15]], "padding (1, 1), not TensorFlow's (0, 1), at stride 2"


@plant("padding (1, 1)", check_padding, lambda: Conv3x3(1, 1, stride=2, bias=False))
def padded_on_both_ends():
    return nn.Conv2d(1, 1, 3, stride=2, padding=1, bias=False)


def check_gelu(feed_forward):
    for layer in (feed_forward.expand, feed_forward.shrink):
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
    x = torch.linspace(-4, 4, 50, dtype=torch.float64)[:, None]
    expected = x / 2 * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))
    assert feed_forward.double()(x).allclose(expected), "exact GELU for tanh GELU"


@plant("exact GELU", check_gelu, lambda: FeedForward(1, 1))
def exact_gelu():
    class Exact(FeedForward):
        def forward(self, x):
            return self.shrink(F.gelu(self.expand(x)))

    return Exact(1, 1)


@pytest.mark.parametrize("bug, check, ours, planted", PLANTED, ids=[p[3].__name__ for p in PLANTED])
def test_a_planted_bug_is_caught_by_name_and_our_own_part_passes(bug, check, ours, planted):
    check(ours())
    with pytest.raises(AssertionError, match=re.escape(bug)):
        check(planted())
