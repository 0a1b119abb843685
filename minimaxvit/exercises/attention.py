"""Lesson 3: splitting channels into heads, and the attention formula."""

import torch
from einops import rearrange

from .checking import Exercise


def split_heads(x, head_dim):
    """Split the channels of (b, t, c) into heads of `head_dim` channels: (b, heads, t, d)."""
    return rearrange(x, "b t (heads d) -> b heads t d", d=head_dim)


def tokens():
    generator = torch.Generator().manual_seed(0)
    sizes = ((2, 4, 12, 4), (1, 6, 12, 2), (3, 5, 64, 32))  # b, t, c, head_dim
    return [(torch.randn(b, t, c, generator=generator), head_dim) for b, t, c, head_dim in sizes]


def as_a_number_of_heads(x, head_dim):
    return rearrange(x, "b t (heads d) -> b heads t d", heads=head_dim)


def interleaved(x, head_dim):
    return rearrange(x, "b t (d heads) -> b heads t d", d=head_dim)


def reshaped(x, head_dim):
    b, t, c = x.shape
    return x.reshape(b, c // head_dim, t, head_dim)


def heads_after_tokens(x, head_dim):
    return rearrange(x, "b t (heads d) -> b t heads d", d=head_dim)


def dimension_before_tokens(x, head_dim):
    return rearrange(x, "b t (heads d) -> b heads d t", d=head_dim)


SPLIT_HEADS = Exercise(
    truth=split_heads,
    cases=tokens,
    mistakes=(
        (
            as_a_number_of_heads,
            "you made `head_dim` heads; it is the dimension of each head, like the paper's 32.",
        ),
        (interleaved, "your heads interleave: each head should take neighboring channels."),
        (
            reshaped,
            "a reshape moves nothing, so each head gets pieces of several tokens.",
        ),
        (heads_after_tokens, "heads come before tokens: b heads t d."),
        (dimension_before_tokens, "tokens come before the dimension of a head: b heads t d."),
    ),
    hints=(
        "first split the channels into two axes, the head and the channel within it; the head "
        "varies slowest.",
        "x.unflatten(2, (-1, 5)) splits the last axis of (b, t, c) into pieces of 5.",
        "after the split, x is (b, t, heads, d): which two axes have to change places? "
        "x.transpose(i, j) swaps the axes i and j.",
    ),
)


def attend(query, key, value):
    """Give each query the mean of the values, weighted by how well it matches their keys."""
    scores = query @ key.mT * query.shape[-1] ** -0.5
    return scores.softmax(-1) @ value


def triples():
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    sizes = ((1, 1, 4, 4), (2, 3, 5, 8), (1, 2, 9, 2))  # b, heads, t, d
    return [tuple(random(*size) for _ in range(3)) for size in sizes]


def scaled_by(factor, axis=-1):
    """Make attention with another scale, or with a softmax along another axis."""

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


def weights_alone(query, key, value):
    return (query @ key.mT * root(query)).softmax(-1)


def by_channels(query, key, value):
    return (query.mT @ key * root(query)).softmax(-1) @ value.mT


ATTEND = Exercise(
    truth=attend,
    cases=triples,
    mistakes=(
        (scaled_by(lambda q: 1.0), "without a scale, scores grow with d: multiply by d ** -0.5."),
        (scaled_by(lambda q: 1 / q.shape[-1]), "you divided by d; divide by its square root."),
        (scaled_by(lambda q: 1 / root(q)), "you multiplied by the root of d; divide by it."),
        (
            scaled_by(lambda q: (q.shape[1] * q.shape[-1]) ** -0.5),
            "you scaled by the channels of all heads together; take those of one head, d.",
        ),
        (
            scaled_by(lambda q: len(q) ** -0.5),
            "len(query) was d when query was one row; here it is b: use query.shape[-1].",
        ),
        (
            scaled_by(lambda q: q.shape[-2] ** -0.5),
            "you divided by the root of t, the number of tokens; take d, the head dimension.",
        ),
        (
            scaled_by(lambda q: 32**-0.5),
            "you took 32 for d, but these heads have other dimensions: use query.shape[-1].",
        ),
        (
            scaled_by(root, axis=-2),
            "softmax runs over the keys, the last axis: the weights of each query sum to 1.",
        ),
        (
            scaled_by(root, axis=1),
            "scores are (b, heads, t, t), and axis 1 is the heads; softmax runs over the last.",
        ),
        (
            scaled_by(root, axis=0),
            "scores are (b, heads, t, t), and axis 0 is the batch; softmax runs over the last.",
        ),
        (
            without_softmax,
            "the softmax is missing: attention weights must be positive and sum to 1.",
        ),
        (scaled_after, "scale the scores before the softmax, not the weights after it."),
        (keys_ask, "query and key are swapped: each row belongs to a query."),
        (
            weights_alone,
            "these are the attention weights; now take the weighted mean of the values.",
        ),
        (by_channels, "you compared channels with channels; compare tokens with tokens."),
    ),
    hints=(
        "three steps: scores of every query with every key, softmax, weighted mean of the values.",
        "query @ key.mT is (b, heads, t, t); .mT swaps the last two axes.",
        "divide the scores by the root of d, which is query.shape[-1], before the softmax; its "
        "rows belong to queries, so it runs over the last axis.",
    ),
)
