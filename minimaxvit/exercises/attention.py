"""Lesson 3: heads of a width, and the attention formula."""

import torch
from einops import rearrange

from .checking import Exercise


def split_heads(x, width):
    """Deal the channels of (b, t, c) out to heads of `width`: (b, heads, t, d)."""
    return rearrange(x, "b t (heads d) -> b heads t d", d=width)


def tokens():
    generator = torch.Generator().manual_seed(0)
    sizes = ((2, 4, 12, 4), (1, 6, 12, 2), (3, 5, 64, 32))  # b, t, c, width
    return [(torch.randn(b, t, c, generator=generator), width) for b, t, c, width in sizes]


def so_many_heads(x, width):
    return rearrange(x, "b t (heads d) -> b heads t d", heads=width)


def dealt_in_turn(x, width):
    return rearrange(x, "b t (d heads) -> b heads t d", d=width)


def reshaped(x, width):
    b, t, c = x.shape
    return x.reshape(b, c // width, t, width)


def heads_after_tokens(x, width):
    return rearrange(x, "b t (heads d) -> b t heads d", d=width)


def width_before_tokens(x, width):
    return rearrange(x, "b t (heads d) -> b heads d t", d=width)


SPLIT_HEADS = Exercise(
    truth=split_heads,
    cases=tokens,
    mistakes=(
        (so_many_heads, "`width` heads instead of heads of that width: the paper's 32 is a width."),
        (dealt_in_turn, "a head takes neighbouring channels; yours takes every so many-th."),
        (
            reshaped,
            "a reshape moves nothing, so a head gets bits of several tokens.",
        ),
        (heads_after_tokens, "heads come before tokens: b heads t d."),
        (width_before_tokens, "tokens come before the width: b heads t d."),
    ),
    hints=(
        "first cut the channels in two axes: which head, and where in it; the head varies slowest.",
        "x.unflatten(2, (-1, width)) is (b, t, heads, d); then two axes change places.",
        "x.unflatten(2, (-1, width)).transpose(1, 2)",
    ),
)


def attend(query, key, value):
    """Give each query the mean of the values, weighed by how well it agrees with the keys."""
    scores = query @ key.mT * query.shape[-1] ** -0.5
    return scores.softmax(-1) @ value


def triples():
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    sizes = ((1, 1, 4, 4), (2, 3, 5, 8), (1, 2, 9, 2))  # b, heads, t, d
    return [tuple(random(*size) for _ in range(3)) for size in sizes]


def scaled_by(factor, axis=-1):
    """Attention with another scale and, maybe, a softmax along another axis."""

    def attend_so(query, key, value):
        return (query @ key.mT * factor(query)).softmax(axis) @ value

    return attend_so


def root(query):
    return query.shape[-1] ** -0.5


def without_softmax(query, key, value):
    return query @ key.mT * root(query) @ value


def scaled_after(query, key, value):
    return (query @ key.mT).softmax(-1) * root(query) @ value


def keys_ask(query, key, value):
    return (key @ query.mT * root(query)).softmax(-1) @ value


def shares_alone(query, key, value):
    return (query @ key.mT * root(query)).softmax(-1)


def by_channels(query, key, value):
    return (query.mT @ key * root(query)).softmax(-1) @ value.mT


ATTEND = Exercise(
    truth=attend,
    cases=triples,
    mistakes=(
        (scaled_by(lambda q: 1.0), "without a scale, scores grow with the width: use d ** -0.5."),
        (scaled_by(lambda q: 1 / q.shape[-1]), "you divided by d; the scale is its square root."),
        (scaled_by(lambda q: 1 / root(q)), "you multiplied by the root of d; divide by it."),
        (
            scaled_by(lambda q: (q.shape[1] * q.shape[-1]) ** -0.5),
            "you scaled by the width of all heads together; it is that of one head.",
        ),
        (
            scaled_by(lambda q: len(q) ** -0.5),
            "len(query) was the width when query was one row; here it is b: use query.shape[-1].",
        ),
        (
            scaled_by(lambda q: q.shape[-2] ** -0.5),
            "you divided by the root of t, the number of tokens; it is d, the width of a head.",
        ),
        (
            scaled_by(lambda q: 32**-0.5),
            "you took 32 for the width; these heads have others: use query.shape[-1].",
        ),
        (
            scaled_by(root, axis=-2),
            "softmax runs over the keys, the last axis: each query's shares sum to 1.",
        ),
        (
            scaled_by(root, axis=1),
            "scores are (b, heads, t, t), and axis 1 is the heads; softmax runs over the last.",
        ),
        (
            scaled_by(root, axis=0),
            "scores are (b, heads, t, t), and axis 0 is the batch; softmax runs over the last.",
        ),
        (without_softmax, "the softmax is missing: shares must be positive and sum to 1."),
        (scaled_after, "scale the scores before the softmax, not the shares after it."),
        (keys_ask, "query and key have changed places: rows belong to queries."),
        (shares_alone, "these are the shares; the mean of the values is still to be taken."),
        (by_channels, "you compared channels with channels; compare tokens with tokens."),
    ),
    hints=(
        "three steps: scores of every query with every key, softmax, weighted mean of the values.",
        "query @ key.mT is (b, heads, t, t); .mT swaps the last two axes.",
        "(query @ key.mT * d ** -0.5).softmax(-1) @ value, where d = query.shape[-1]",
    ),
)
