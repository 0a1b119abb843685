"""Lesson 13: how far convolutions reach in a row, ConvNeXt's block, attention among channels."""

from itertools import accumulate
from operator import mul

import torch
import torch.nn.functional as F

from .checking import Exercise


def reached_side(kernels, dilations):
    """Say how many tokens wide the window is that convolutions in a row read: long ()."""
    return torch.tensor(1 + sum((k - 1) * d for k, d in zip(kernels, dilations, strict=True)))


def rows_of_convolutions():
    return [((5, 7), (1, 3)), ((3, 3, 3), (1, 2, 4)), ((7, 3), (3, 1)), ((3, 5, 3), (2, 1, 3))]


def without_dilations(kernels, dilations):
    return reached_side(kernels, (1,) * len(kernels))


def quoted(kernels, dilations):
    return torch.tensor(max(k * d for k, d in zip(kernels, dilations, strict=True)))


def widths_added(kernels, dilations):
    return torch.tensor(sum((k - 1) * d + 1 for k, d in zip(kernels, dilations, strict=True)))


def products_added(kernels, dilations):
    return torch.tensor(sum(k * d for k, d in zip(kernels, dilations, strict=True)))


def without_the_token(kernels, dilations):
    return reached_side(kernels, dilations) - 1


def gaps_too_wide(kernels, dilations):
    return reached_side(kernels, [d + 1 for d in dilations])


def widest_alone(kernels, dilations):
    return torch.tensor(max((k - 1) * d + 1 for k, d in zip(kernels, dilations, strict=True)))


def to_one_side(kernels, dilations):
    return torch.tensor(1 + sum(k // 2 * d for k, d in zip(kernels, dilations, strict=True)))


def dilations_multiplied(kernels, dilations):
    return reached_side(kernels, list(accumulate(dilations, mul)))


def all_tokens(kernels, dilations):
    return reached_side(kernels, dilations) ** 2


WITH_ITSELF = (
    "each convolution also reads the token in the middle, which the others have reached already: "
    "it adds one less than its side."
)
REACHED_SIDE = Exercise(
    truth=reached_side,
    cases=rows_of_convolutions,
    mistakes=(
        (
            without_dilations,
            "the taps of a dilated kernel are apart: the tokens between them count as well.",
        ),
        (
            quoted,
            "kernel times dilation is where VAN's paper has its 21 from: the side of the kernel "
            "that it takes apart. What the pieces read together is wider.",
        ),
        (widths_added, WITH_ITSELF),
        (products_added, WITH_ITSELF),
        (without_the_token, "count the token itself, too."),
        (gaps_too_wide, "taps that are d tokens apart have d - 1 tokens between them, not d."),
        (
            widest_alone,
            "one convolution reads what the others have gathered: their reaches add up.",
        ),
        (to_one_side, "that is how far they reach to one side: the other side counts as well."),
        (
            dilations_multiplied,
            "each dilation counts tokens of the same map: they do not multiply up, as strides do.",
        ),
        (all_tokens, "that is the number of tokens in the window: return its side."),
    ),
    hints=(
        "how far to the left does one convolution look from its middle? Half of the taps are on "
        "that side.",
        "to both sides together, a kernel of k taps that are d apart looks (k - 1) * d tokens far.",
        "add up these distances, and do not forget the token in the middle.",
    ),
)


def convnext_block(x, depthwise, norm, feed_forward, scale):
    """Mix neighbors, then the channels of each token, beside a single shortcut.

    Shapes: x (b, c, h, w) -> (b, c, h, w); `depthwise` takes those, the others (b, h, w, c).
    """
    y = scale * feed_forward(norm(last(depthwise(x))))
    return x + first(y)


def last(x):
    return x.permute(0, 2, 3, 1)


def first(x):
    return x.permute(0, 3, 1, 2)


def mix_neighbors(x):
    """A stand-in for a depthwise convolution: each token adds up some of its neighbors."""
    return 0.5 * x + x.roll(1, 2) - 0.3 * x.roll(2, 3)


def standardize(x):
    """A layer norm, without weights of its own."""
    return F.layer_norm(x, x.shape[-1:])


def mix_channels(x):
    """A stand-in for the feed-forward layer: it is not linear, and channels meet."""
    return x.square() - 0.5 * x.roll(1, -1) + 0.2


def maps_and_layers():
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 6, 6, 6), (1, 4, 3, 5), (2, 3, 5, 4))  # b, c, h, w; the first hides mixed-up axes
    layers = (mix_neighbors, standardize, mix_channels)
    return [
        (
            torch.randn(shape, generator=generator, dtype=torch.float64),
            *layers,
            torch.rand(shape[1], generator=generator, dtype=torch.float64) + 0.3,
        )
        for shape in shapes
    ]


def norm_first(x, depthwise, norm, feed_forward, scale):
    return x + first(scale * feed_forward(last(depthwise(first(norm(last(x)))))))


def two_shortcuts(x, depthwise, norm, feed_forward, scale):
    x = x + depthwise(x)
    return x + first(scale * feed_forward(norm(last(x))))


def shortcut_after_the_convolution(x, depthwise, norm, feed_forward, scale):
    y = depthwise(x)
    return y + first(scale * feed_forward(norm(last(y))))


def scaled_shortcut(x, depthwise, norm, feed_forward, scale):
    return first(scale * last(x + first(feed_forward(norm(last(depthwise(x)))))))


def without_scale(x, depthwise, norm, feed_forward, scale):
    return x + first(feed_forward(norm(last(depthwise(x)))))


def scaled_inside(x, depthwise, norm, feed_forward, scale):
    return x + first(feed_forward(scale * norm(last(depthwise(x)))))


def without_norm(x, depthwise, norm, feed_forward, scale):
    return x + first(scale * feed_forward(last(depthwise(x))))


def norm_at_the_end(x, depthwise, norm, feed_forward, scale):
    return x + first(scale * norm(feed_forward(last(depthwise(x)))))


def without_shortcut(x, depthwise, norm, feed_forward, scale):
    return first(scale * feed_forward(norm(last(depthwise(x)))))


def channels_never_last(x, depthwise, norm, feed_forward, scale):
    return x + scale[:, None, None] * feed_forward(norm(depthwise(x)))


def nothing_permuted(x, depthwise, norm, feed_forward, scale):
    return x + scale * feed_forward(norm(depthwise(x)))


def scaled_columns(x, depthwise, norm, feed_forward, scale):
    return x + scale * first(feed_forward(norm(last(depthwise(x)))))


def channels_left_last(x, depthwise, norm, feed_forward, scale):
    return last(x) + scale * feed_forward(norm(last(depthwise(x))))


def branch_left_last(x, depthwise, norm, feed_forward, scale):
    return x + scale * feed_forward(norm(last(depthwise(x))))


def permuted_on(x, depthwise, norm, feed_forward, scale):
    return x + last(scale * feed_forward(norm(last(depthwise(x)))))


def reshaped_back(x, depthwise, norm, feed_forward, scale):
    return x + (scale * feed_forward(norm(last(depthwise(x))))).reshape(x.shape)


def without_depthwise(x, depthwise, norm, feed_forward, scale):
    return x + first(scale * feed_forward(norm(last(x))))


def permuted_too_early(x, depthwise, norm, feed_forward, scale):
    return x + first(scale * feed_forward(norm(depthwise(last(x)))))


def without_norm_and_scale(x, depthwise, norm, feed_forward, scale):
    return x + first(feed_forward(last(depthwise(x))))


def mirrored(x, depthwise, norm, feed_forward, scale):
    return x + (scale * feed_forward(norm(last(depthwise(x))))).permute(0, 3, 2, 1)


def transposed(x, depthwise, norm, feed_forward, scale):
    return x + (scale * feed_forward(norm(depthwise(x).mT))).mT


def transposed_back(x, depthwise, norm, feed_forward, scale):
    return x + (scale * feed_forward(norm(last(depthwise(x))))).mT


TRANSPOSED = "`.mT` swaps only the last two axes: use permute, there and back."
CHANNELS_LAST = "norm and feed-forward act on the last axis: permute to (b, h, w, c) before them."
CONVNEXT_BLOCK = Exercise(
    truth=convnext_block,
    cases=maps_and_layers,
    mistakes=(
        (
            norm_first,
            "the norm comes after the depthwise convolution here, not before it as in MBConv.",
        ),
        (
            two_shortcuts,
            "those are two shortcuts, as in a transformer layer; ConvNeXt's block has a single "
            "one, around everything.",
        ),
        (shortcut_after_the_convolution, "the shortcut takes x as it was, before the convolution."),
        (scaled_shortcut, "the scale is for the branch: the shortcut stays as it is."),
        (without_scale, "the branch has to be multiplied by the scale of each channel."),
        (scaled_inside, "the scale comes last in the branch, after the feed-forward."),
        (without_norm, "the norm is missing: it stands between convolution and feed-forward."),
        (norm_at_the_end, "the norm stands before the feed-forward, not after it."),
        (without_shortcut, "the shortcut is missing: add x."),
        (channels_never_last, CHANNELS_LAST),
        (nothing_permuted, CHANNELS_LAST),
        (
            scaled_columns,
            "your scale multiplies the columns of the map: multiply while channels are last.",
        ),
        (channels_left_last, "return (b, c, h, w): channels are still the last axis."),
        (branch_left_last, "bring the channels back to the front before you add the shortcut."),
        (permuted_on, "the same permutation once more is not the way back: use (0, 3, 1, 2)."),
        (reshaped_back, "a reshape mixes the axes: permute the channels back to the front."),
        (without_depthwise, "the depthwise convolution is missing."),
        (permuted_too_early, "the convolution takes (b, c, h, w): permute after it."),
        (without_norm_and_scale, "the norm and the scale are missing."),
        (mirrored, "on the way back, rows and columns have changed places."),
        (transposed, TRANSPOSED),
        (transposed_back, TRANSPOSED),
    ),
    hints=(
        "the order is: convolution, norm, feed-forward, scale; then the shortcut.",
        "y.permute(0, 2, 3, 1) makes the channels the last axis, where scale, (c,), fits as well.",
        "y.permute(0, 3, 1, 2) brings them back; only then can x be added.",
    ),
)


def channel_weights(query, key, temperature):
    """Say how much each channel of a head takes from each other: (b, heads, d, d).

    Shapes: query and key (b, heads, d, t), temperature (heads, 1, 1).
    """
    query, key = F.normalize(query, dim=-1), F.normalize(key, dim=-1)
    return (temperature * (query @ key.mT)).softmax(-1)


def queries_and_keys():
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 2, 6, 6), (1, 3, 4, 9), (2, 2, 5, 3))  # b, heads, d, t; the first is square
    return [
        (
            torch.randn(shape, generator=generator, dtype=torch.float64),
            torch.randn(shape, generator=generator, dtype=torch.float64),
            1.5 + torch.rand(shape[1], 1, 1, generator=generator, dtype=torch.float64),
        )
        for shape in shapes
    ]


def weights_of(normalize, finish=lambda logits: logits.softmax(-1)):
    def answer(query, key, temperature):
        query, key = normalize(query, key)
        return finish(temperature * (query @ key.mT))

    return answer


def both(query, key):
    return F.normalize(query, dim=-1), F.normalize(key, dim=-1)


over_channels = weights_of(lambda *maps: (F.normalize(x, dim=-2) for x in maps))
over_both = weights_of(lambda *maps: (F.normalize(x, dim=(-2, -1)) for x in maps))
not_normalized = weights_of(lambda *maps: maps)
by_head_width = weights_of(lambda query, key: (query, key / query.shape[-2] ** 0.5))
by_tokens = weights_of(lambda query, key: (query, key / query.shape[-1] ** 0.5))
over_heads = weights_of(lambda *maps: (F.normalize(x, dim=1) for x in maps))
centered = weights_of(
    lambda *maps: (F.normalize(x - x.mean(-1, keepdim=True), dim=-1) for x in maps)
)
by_deviation = weights_of(lambda *maps: (x / x.std(-1, keepdim=True) for x in maps))
among_heads = weights_of(both, lambda logits: logits.softmax(1))
query_alone = weights_of(lambda query, key: (F.normalize(query, dim=-1), key))
key_alone = weights_of(lambda query, key: (query, F.normalize(key, dim=-1)))
sums_of_sizes = weights_of(lambda *maps: (F.normalize(x, p=1, dim=-1) for x in maps))
down_the_columns = weights_of(both, lambda logits: logits.softmax(-2))
without_softmax = weights_of(both, lambda logits: logits)
key_by_query = weights_of(lambda query, key: both(key, query))


def divided(query, key, temperature):
    return channel_weights(query, key, 1 / temperature)


def divided_by_width(query, key, temperature):
    return channel_weights(query, key, temperature / query.shape[-2] ** 0.5)


def no_temperature(query, key, temperature):
    return channel_weights(query, key, 1)


def temperature_last(query, key, temperature):
    return temperature * channel_weights(query, key, 1)


def among_tokens(query, key, temperature):
    return channel_weights(query.mT, key.mT, temperature)


def among_tokens_of_channels(query, key, temperature):
    query, key = both(query, key)
    return (temperature * (query.mT @ key)).softmax(-1)


def not_transposed(query, key, temperature):
    query, key = both(query, key)
    return (temperature * (query @ key)).softmax(-1)


AMONG_TOKENS = "those are weights among tokens, (t, t): here channels attend to channels, (d, d)."
LENGTHS = "divide each channel of query and key by its length over the tokens"
CHANNEL_WEIGHTS = Exercise(
    truth=channel_weights,
    cases=queries_and_keys,
    mistakes=(
        (
            over_channels,
            "you normalized each token over its channels: normalize each channel over the tokens, "
            "the last axis.",
        ),
        (over_both, "you normalized each head as a whole: normalize each channel by itself."),
        (not_normalized, f"{LENGTHS}; else the scores grow with the map."),
        (by_head_width, f"that is the scale of attention among tokens: {LENGTHS} instead."),
        (
            by_tokens,
            f"the square root of t is the length only if numbers are of size 1 or so: {LENGTHS}.",
        ),
        (
            over_heads,
            "F.normalize takes axis 1 unless you say otherwise, which is that of the heads: "
            "normalize over the tokens, the last axis.",
        ),
        (centered, "no mean is subtracted: the scores are cosines, not correlations."),
        (by_deviation, "divide by the length over the tokens, not by the standard deviation."),
        (among_heads, "your softmax goes over the heads: take it over the keys, the last axis."),
        (divided_by_width, "the temperature is the only scale: do not divide by sqrt(d)."),
        (query_alone, "normalize the keys, too."),
        (key_alone, "normalize the queries, too."),
        (sums_of_sizes, "the length is the root of the sum of squares, not the sum of sizes."),
        (
            divided,
            "you divided by the temperature, as the paper's formula does: multiply by it, as its "
            "code does.",
        ),
        (no_temperature, "the temperature of each head is missing."),
        (temperature_last, "the temperature multiplies the scores, before the softmax."),
        (down_the_columns, "for each channel that asks, a row, the weights sum to 1."),
        (without_softmax, "those are the scores: the softmax is missing."),
        (key_by_query, "the rows belong to the queries: multiply query by the transposed key."),
        (among_tokens, AMONG_TOKENS),
        (among_tokens_of_channels, AMONG_TOKENS),
        (
            not_transposed,
            "transpose the keys: the products are summed over the tokens, the last axis of both.",
        ),
    ),
    hints=(
        "F.normalize(x, dim=...) divides by lengths; a channel is a vector of t numbers.",
        "the scores of all pairs of channels are one product, in which the tokens are summed over: "
        "which of the two has to be transposed?",
        "multiply the scores by the temperature, and then take the softmax over the keys.",
    ),
)
