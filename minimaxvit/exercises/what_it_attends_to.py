"""Lesson 10: attention weights laid back on the map, and how many keys a head attends to."""

import torch

from ..partition import block_partition, grid_partition
from .checking import Exercise


def lift(weights, tokens):
    """Lay the attention weights of groups, (n, t, t), on the whole map: (n * t, n * t)."""
    lifted = weights.new_zeros(tokens.numel(), tokens.numel())
    lifted[tokens[:, :, None], tokens[:, None, :]] = weights
    return lifted


def groups():
    generator = torch.Generator().manual_seed(0)
    found = []
    sizes = ((4, 6, 2, grid_partition), (4, 4, 2, block_partition), (6, 3, 3, grid_partition))
    for h, w, side, partition in sizes:
        tokens = partition(torch.arange(h * w).view(1, h, w, 1), side)[0, :, :, 0]
        scores = torch.randn(*tokens.shape, side**2, generator=generator, dtype=torch.float64)
        found.append((scores.softmax(-1), tokens))
    return found


def one_after_another(weights, tokens):
    return torch.block_diag(*weights)


def averaged(weights, tokens):
    lifted = weights.new_zeros(tokens.numel(), tokens.numel())
    lifted[tokens[:, :, None], tokens[:, None, :]] = weights.mean(0)
    return lifted


def transposed(weights, tokens):
    return lift(weights, tokens).T


def only_rows(weights, tokens):
    return torch.block_diag(*weights)[tokens.flatten().argsort()]


def other_way(weights, tokens):
    order = tokens.flatten()
    return torch.block_diag(*weights)[order][:, order]


LIFT = Exercise(
    truth=lift,
    cases=groups,
    mistakes=(
        (
            one_after_another,
            "you put the groups one after another, but `tokens` says where each belongs.",
        ),
        (averaged, "you averaged the groups, but each has attention weights of its own."),
        (transposed, "yours is transposed: rows are queries, and columns are keys."),
        (only_rows, "you sorted only the rows, but the columns are tokens, too."),
        (
            other_way,
            "you went from the map to the groups: token tokens[n, i] should get row i of group n.",
        ),
    ),
    hints=(
        "begin with zeros, (n * t, n * t): there is no attention between groups.",
        "query i of a group is token tokens[group, i], so its weights belong in the row of that "
        "token; the columns go by the keys in the same way.",
        "without a loop: index with two tensors, one of row numbers with a dimension of 1 for the "
        "keys, and one of column numbers with a dimension of 1 for the queries.",
    ),
)


def effective_keys(weights):
    """Say how many keys each head attends to: 2 to the entropy in bits, averaged over queries."""
    bits = -torch.xlogy(weights, weights).sum(-1) / torch.log(torch.tensor(2.0)).to(weights)
    return (2**bits).mean(-1)


def heads():
    generator = torch.Generator().manual_seed(0)
    found = []
    for count, t, sharp in ((3, 4, 1), (2, 9, 3), (4, 16, 6)):
        scores = sharp * torch.randn(count, t, t, generator=generator, dtype=torch.float64)
        weights = scores.softmax(-1)
        weights[:, 0] = torch.eye(t, dtype=torch.float64)[0]  # a query that attends to a single key
        found.append((weights,))
    return found


def bits_of(weights):
    return -torch.xlogy(weights, weights).sum(-1) / torch.log(torch.tensor(2.0)).to(weights)


def in_bits(weights):
    return bits_of(weights).mean(-1)


def power_of_the_mean(weights):
    return 2 ** bits_of(weights).mean(-1)


def mixed_bases(weights):
    return (2 ** -torch.xlogy(weights, weights).sum(-1)).mean(-1)


def squares(weights):
    return (1 / weights.square().sum(-1)).mean(-1)


def nan_for_zero(weights):
    return (2 ** -(weights * weights.log2()).sum(-1)).mean(-1)


def shifted_logarithm(weights):
    return (2 ** -(weights * (weights + 1e-6).log2()).sum(-1)).mean(-1)


def sign_lost(weights):
    return (2 ** -bits_of(weights)).mean(-1)


def mean_of_keys(weights):
    return (2 ** (bits_of(weights) / weights.shape[-1])).mean(-1)


def by_column(weights):
    return effective_keys(weights.mT)


def all_heads_at_once(weights):
    return effective_keys(weights).mean()


EFFECTIVE_KEYS = Exercise(
    truth=effective_keys,
    cases=heads,
    mistakes=(
        (in_bits, "that is the entropy in bits; the number of effective keys is 2 to that power."),
        (power_of_the_mean, "take the power for each query first, and the mean afterwards."),
        (mixed_bases, "your logarithm is the natural one, but your power is one of 2."),
        (
            squares,
            "that is 1 / the sum of squares, another such count; here it is 2 to the entropy.",
        ),
        (nan_for_zero, "0 * log(0) gives nan, but should count as 0: torch.xlogy does that."),
        (
            shifted_logarithm,
            "a small number under the logarithm changes the result: torch.xlogy needs none.",
        ),
        (sign_lost, "check the sign: an entropy is not negative."),
        (mean_of_keys, "an entropy is a sum over keys, not a mean."),
        (by_column, "you summed over the queries, but it is the weights of a *row* that sum to 1."),
        (all_heads_at_once, "return one number per head."),
    ),
    hints=(
        "the entropy of a query is minus the sum over its keys of p * log2(p).",
        "torch.xlogy(p, p) is p * log(p), and 0 at 0; divide it by log(2) for bits.",
        "now there is one number of bits for each head and query: what comes first, the power of "
        "2 or the mean over the queries?",
    ),
)
