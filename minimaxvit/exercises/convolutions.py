"""Lesson 2: squeeze-excitation, the padding of a strided convolution, and MBConv's parameters."""

import torch
import torch.nn.functional as F

from ..mbconv import gelu
from .checking import Exercise


def squeeze_excite(x, squeeze, excite):
    """Weigh the channels of (b, c, h, w) by what the whole map holds; `squeeze` is (s, c)."""
    pooled = x.mean((2, 3))  # (b, c)
    weights = torch.sigmoid(F.silu(pooled @ squeeze.T) @ excite.T)  # (b, c)
    return x * weights[:, :, None, None]


def weighed_maps():
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    sizes = ((2, 8, 4, 4, 2), (3, 6, 5, 7, 3), (2, 4, 1, 6, 4))  # b, c, h, w, squeezed
    return [(2 + random(b, c, h, w), random(s, c), random(c, s)) for b, c, h, w, s in sizes]


def excited(x, pooled, squeeze, excite, activate=F.silu, gate=torch.sigmoid):
    return x * gate(activate(pooled @ squeeze.T) @ excite.T)[:, :, None, None]


def with_activation(activate):
    return lambda x, squeeze, excite: excited(x, x.mean((2, 3)), squeeze, excite, activate)


def summed(x, squeeze, excite):
    return excited(x, x.sum((2, 3)), squeeze, excite)


def without_sigmoid(x, squeeze, excite):
    return excited(x, x.mean((2, 3)), squeeze, excite, gate=lambda logits: logits)


def with_softmax(x, squeeze, excite):
    return excited(x, x.mean((2, 3)), squeeze, excite, gate=lambda logits: logits.softmax(1))


def largest_value(x, squeeze, excite):
    return excited(x, x.amax((2, 3)), squeeze, excite)


def pooled_over_the_batch(x, squeeze, excite):
    return excited(x, x.mean((0, 2, 3))[None].expand(len(x), -1), squeeze, excite)


def place_by_place(x, squeeze, excite):
    tokens = x.permute(0, 2, 3, 1)
    weights = torch.sigmoid(F.silu(tokens @ squeeze.T) @ excite.T)
    return x * weights.permute(0, 3, 1, 2)


def added(x, squeeze, excite):
    return x + squeeze_excite(x, squeeze, excite)


def weights_alone(x, squeeze, excite):
    return torch.sigmoid(F.silu(x.mean((2, 3)) @ squeeze.T) @ excite.T)


SQUEEZE_EXCITE = Exercise(
    truth=squeeze_excite,
    cases=weighed_maps,
    mistakes=(
        (with_activation(F.relu), "MaxViT squeezes with SiLU, not ReLU."),
        (with_activation(F.gelu), "MaxViT squeezes with SiLU here, though GELU stands elsewhere."),
        (with_activation(gelu), "MaxViT squeezes with SiLU here, though GELU stands elsewhere."),
        (with_activation(lambda y: y), "there is no SiLU between squeeze and excite."),
        (without_sigmoid, "the sigmoid is missing: weights must lie between 0 and 1."),
        (with_softmax, "a softmax makes channels compete; each has a sigmoid of its own."),
        (summed, "squeeze by the mean over the map, not by the sum."),
        (largest_value, "squeeze by the mean over the map, not by its largest value."),
        (pooled_over_the_batch, "you pooled over the batch too: a picture must not see others."),
        (place_by_place, "you forgot to pool: the weights come from the mean over the whole map."),
        (added, "you added the input once more: squeeze-excitation multiplies, nothing else."),
        (weights_alone, "these are the weights; multiply the map by them."),
    ),
    hints=(
        "pool, squeeze, SiLU, excite, sigmoid, multiply.",
        "x.mean((2, 3)) is (b, c); a matrix (s, c) is applied to it by @ squeeze.T.",
        "weights[:, :, None, None] stretches (b, c) over the map.",
    ),
)


def strided(x, weight):
    """A 3x3 convolution of stride 2 under TensorFlow's 'SAME': an even side is padded after."""
    h, w = x.shape[2:]
    return F.conv2d(F.pad(x, (w % 2, 1, h % 2, 1)), weight, stride=2)


def even_and_odd():
    generator = torch.Generator().manual_seed(0)
    sizes = ((8, 8), (7, 8), (6, 9), (5, 5))
    return [
        (
            torch.randn(2, 3, h, w, generator=generator, dtype=torch.float64),
            torch.randn(4, 3, 3, 3, generator=generator, dtype=torch.float64),
        )
        for h, w in sizes
    ]


def padded_by(*sides):
    return lambda x, weight: F.conv2d(F.pad(x, sides), weight, stride=2)


def rows_for_columns(x, weight):
    h, w = x.shape[2:]
    return F.conv2d(F.pad(x, (h % 2, 1, w % 2, 1)), weight, stride=2)


STRIDED = Exercise(
    truth=strided,
    cases=even_and_odd,
    mistakes=(
        (padded_by(1, 1, 1, 1), "the zero of an even side belongs after its end, never before it."),
        (padded_by(1, 0, 1, 0), "you padded before the map; 'SAME' puts the one zero after it."),
        (padded_by(0, 1, 0, 1), "right for even sides; an odd side needs a zero on both."),
        (padded_by(0, 0, 0, 0), "without padding the last row and column are lost."),
        (rows_for_columns, "F.pad names the last axis first: columns, then rows."),
    ),
    hints=(
        "an even side needs one zero, after its end; an odd side one on both.",
        "F.pad(x, (left, right, top, bottom)); left is 1 where the width is odd, else 0.",
        "F.conv2d(F.pad(x, (w % 2, 1, h % 2, 1)), weight, stride=2)",
    ),
)


def mbconv_weights(c, width, expansion):
    """Numbers in the four convolutions of MBConv, without biases, norms or shortcut."""
    inner = expansion * width
    return torch.tensor(c * inner + 9 * inner + 2 * inner * (width // 4) + inner * width)


def widths():
    return [(64, 64, 4), (64, 128, 4), (96, 192, 2)]


def expanded_from_the_input(c, width, expansion):
    inner = expansion * c
    return torch.tensor(c * inner + 9 * inner + 2 * inner * (width // 4) + inner * width)


def dense(c, width, expansion):
    inner = expansion * width
    return mbconv_weights(c, width, expansion) + 9 * inner * inner - 9 * inner


def quarter_of_the_inner_width(c, width, expansion):
    inner = expansion * width
    return torch.tensor(c * inner + 9 * inner + 2 * inner * (inner // 4) + inner * width)


def without_excite(c, width, expansion):
    return mbconv_weights(c, width, expansion) - expansion * width * (width // 4)


def without_squeeze_excitation(c, width, expansion):
    return mbconv_weights(c, width, expansion) - 2 * expansion * width * (width // 4)


def one_tap(c, width, expansion):
    return mbconv_weights(c, width, expansion) - 8 * expansion * width


def with_shortcut(c, width, expansion):
    return mbconv_weights(c, width, expansion) + (c * width if c != width else 0)


def with_biases(c, width, expansion):
    return mbconv_weights(c, width, expansion) + width // 4 + expansion * width + width


def quarter_of_the_input(c, width, expansion):
    inner = expansion * width
    return torch.tensor(c * inner + 9 * inner + 2 * inner * (c // 4) + inner * width)


MBCONV_WEIGHTS = Exercise(
    truth=mbconv_weights,
    cases=widths,
    mistakes=(
        (expanded_from_the_input, "inside are expansion times the *output's* channels, `width`."),
        (dense, "the 3x3 convolution is depthwise: a kernel of 9 for each channel, no more."),
        (quarter_of_the_inner_width, "squeeze to a quarter of `width`, not of the wider inside."),
        (without_excite, "squeeze-excitation has two matrices: down to few, and back up."),
        (without_squeeze_excitation, "squeeze-excitation is missing: two matrices more."),
        (one_tap, "a depthwise kernel has 3 x 3 weights a channel."),
        (with_shortcut, "leave out the shortcut's convolution: only the branch is asked for."),
        (with_biases, "leave out the biases: of squeeze, excite and shrink."),
        (quarter_of_the_input, "squeeze to a quarter of the *output's* channels, not of `c`."),
    ),
    hints=(
        "go through it in order: expand, depthwise, squeeze, excite, shrink.",
        "inner = expansion * width channels inside: expand has c * inner, depthwise 9 * inner.",
        "c * inner + 9 * inner + 2 * inner * (width // 4) + inner * width",
    ),
)
