"""Lesson 2: squeeze-excitation, the padding of a strided convolution, and MBConv's weights."""

import torch
import torch.nn.functional as F

from ..layers import gelu
from .checking import Exercise


def squeeze_excite(x, squeeze, excite):
    """Weight the channels of (b, c, h, w) by what the whole map holds; `squeeze` is (s, c)."""
    pooled = x.mean((2, 3))  # (b, c)
    weights = torch.sigmoid(F.silu(pooled @ squeeze.T) @ excite.T)  # (b, c)
    return x * weights[:, :, None, None]


def maps_and_matrices():
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
    cases=maps_and_matrices,
    mistakes=(
        (with_activation(F.relu), "the activation between the two matrices is SiLU, not ReLU."),
        (with_activation(F.gelu), "the activation between the two matrices is SiLU, not GELU."),
        (with_activation(gelu), "the activation between the two matrices is SiLU, not GELU."),
        (with_activation(lambda y: y), "the SiLU between the two matrices is missing."),
        (without_sigmoid, "the sigmoid is missing: weights must be between 0 and 1."),
        (with_softmax, "a softmax makes channels compete; here each has a sigmoid of its own."),
        (summed, "squeeze with the mean over the map, not with the sum."),
        (largest_value, "squeeze with the mean over the map, not with its maximum."),
        (pooled_over_the_batch, "you pooled over the batch, too: an image must not see others."),
        (place_by_place, "you forgot to pool: the weights come from the mean over the whole map."),
        (added, "you also added the input: squeeze-excitation only multiplies."),
        (weights_alone, "these are the weights; you still have to multiply the map by them."),
    ),
    hints=(
        "mean over the map, first matrix, SiLU, second matrix, sigmoid, and multiply the map.",
        "x.mean((2, 3)) is (b, c); to apply a matrix (s, c) to it, write @ squeeze.T.",
        "the weights are (b, c), the map is (b, c, h, w): index the weights with None twice, so "
        "that they broadcast over rows and columns.",
    ),
)


def strided(x, weight):
    """Convolve at stride 2 with TensorFlow's 'SAME': an even side gets its zero after the end."""
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
        (padded_by(1, 1, 1, 1), "an even side gets its only zero after its end, and none before."),
        (padded_by(1, 0, 1, 0), "you padded before the map; 'SAME' puts the one zero after it."),
        (padded_by(0, 1, 0, 1), "right for even sides, but an odd side needs a zero at both ends."),
        (padded_by(0, 0, 0, 0), "without padding, the last row and column are lost."),
        (rows_for_columns, "F.pad takes the last axis first: columns, then rows."),
    ),
    hints=(
        "an even side needs one zero, after its end; an odd side needs one at both ends.",
        "F.pad(x, (left, right, top, bottom)): left is 1 if w is odd, and 0 otherwise.",
        "right and bottom are always 1; once x is padded, F.conv2d must not pad it again.",
    ),
)


def mbconv_weights(in_dim, dim, expansion):
    """Count the weights of MBConv's branch, without biases, norms or shortcut."""
    inner = expansion * dim
    return torch.tensor(in_dim * inner + 9 * inner + 2 * inner * (dim // 4) + inner * dim)


def dims():
    return [(64, 64, 4), (64, 128, 4), (96, 192, 2)]


def expanded_from_the_input(in_dim, dim, expansion):
    inner = expansion * in_dim
    return torch.tensor(in_dim * inner + 9 * inner + 2 * inner * (dim // 4) + inner * dim)


def dense(in_dim, dim, expansion):
    inner = expansion * dim
    return mbconv_weights(in_dim, dim, expansion) + 9 * inner * inner - 9 * inner


def quarter_of_the_inner_width(in_dim, dim, expansion):
    inner = expansion * dim
    return torch.tensor(in_dim * inner + 9 * inner + 2 * inner * (inner // 4) + inner * dim)


def without_excite(in_dim, dim, expansion):
    return mbconv_weights(in_dim, dim, expansion) - expansion * dim * (dim // 4)


def without_squeeze_excitation(in_dim, dim, expansion):
    return mbconv_weights(in_dim, dim, expansion) - 2 * expansion * dim * (dim // 4)


def one_tap(in_dim, dim, expansion):
    return mbconv_weights(in_dim, dim, expansion) - 8 * expansion * dim


def with_shortcut(in_dim, dim, expansion):
    return mbconv_weights(in_dim, dim, expansion) + (in_dim * dim if in_dim != dim else 0)


def with_biases(in_dim, dim, expansion):
    return mbconv_weights(in_dim, dim, expansion) + dim // 4 + expansion * dim + dim


def quarter_of_the_input(in_dim, dim, expansion):
    inner = expansion * dim
    return torch.tensor(in_dim * inner + 9 * inner + 2 * inner * (in_dim // 4) + inner * dim)


MBCONV_WEIGHTS = Exercise(
    truth=mbconv_weights,
    cases=dims,
    mistakes=(
        (expanded_from_the_input, "the inside has expansion times the *output* channels, `dim`."),
        (dense, "the 3x3 convolution is depthwise: only one kernel of 9 weights per channel."),
        (quarter_of_the_inner_width, "squeeze to a quarter of `dim`, not of the inner channels."),
        (without_excite, "squeeze-excitation has two matrices: squeeze and excite."),
        (without_squeeze_excitation, "squeeze-excitation is missing: it adds two matrices."),
        (one_tap, "a depthwise kernel has 3 x 3 weights per channel."),
        (with_shortcut, "leave out the convolution of the shortcut: only the branch counts."),
        (with_biases, "leave out the biases of squeeze, excite and shrink."),
        (quarter_of_the_input, "squeeze to a quarter of the *output* channels, not of `in_dim`."),
    ),
    hints=(
        "go through it in order: expand, depthwise, squeeze, excite, shrink.",
        "with inner = expansion * dim, expand has in_dim * inner weights, depthwise 9 * inner.",
        "squeeze leads from inner to dim // 4 numbers, excite back to inner, and shrink from inner "
        "to dim.",
    ),
)
