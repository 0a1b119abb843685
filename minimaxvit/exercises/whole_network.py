"""Lesson 7: the rates of stochastic depth through a network, and its head."""

import torch
import torch.nn.functional as F

from .checking import Exercise


def drop_paths(depths, rate):
    """Give the rate of each block in the order of the network: rate * i / n for block i of n."""
    n = sum(depths)
    return torch.tensor([rate * i / n for i in range(n)], dtype=torch.float64)


def networks():
    return [((2, 2, 5, 2), 0.2), ((1, 1), 0.1), ((2, 6, 14, 2), 0.4)]


def up_to_the_rate(depths, rate):
    return torch.linspace(0, rate, sum(depths), dtype=torch.float64)


def from_one(depths, rate):
    n = sum(depths)
    return torch.tensor([rate * (i + 1) / n for i in range(n)], dtype=torch.float64)


def anew_in_every_stage(depths, rate):
    rates = [rate * i / n for n in depths for i in range(n)]
    return torch.tensor(rates, dtype=torch.float64)


def stage_by_stage(depths, rate):
    rates = [rate * stage / len(depths) for stage, n in enumerate(depths) for _ in range(n)]
    return torch.tensor(rates, dtype=torch.float64)


def the_same_for_all(depths, rate):
    return torch.full((sum(depths),), rate, dtype=torch.float64)


def falling(depths, rate):
    return drop_paths(depths, rate).flip(0)


def one_too_many(depths, rate):
    return torch.linspace(0, rate, sum(depths) + 1, dtype=torch.float64)


def one_per_stage(depths, rate):
    return torch.tensor([rate * i / len(depths) for i in range(len(depths))], dtype=torch.float64)


DROP_PATHS = Exercise(
    truth=drop_paths,
    cases=networks,
    mistakes=(
        (
            up_to_the_rate,
            "linspace reaches `rate` in the last block, but rate * i / n stays below it.",
        ),
        (from_one, "count the blocks from 0: the first block is never dropped."),
        (
            anew_in_every_stage,
            "the rates start again in every stage: count through the whole network.",
        ),
        (stage_by_stage, "your rates rise stage by stage, but they should rise block by block."),
        (the_same_for_all, "every block has the full rate, but the rate should rise with depth."),
        (falling, "your rates fall: the first block has 0, and they rise from there."),
        (one_too_many, "that is one rate too many: there is no block that has `rate` itself."),
        (one_per_stage, "return one rate per block, not per stage."),
    ),
    hints=(
        "how many blocks are there in all? Number them from 0, through all stages.",
        "with n = sum(depths), block i of n has rate * i / n.",
        "let i run from 0 to n - 1; a list comprehension inside torch.tensor is enough.",
    ),
)


def head(x, norm, hidden, classify):
    """Pool, normalize, apply a hidden layer with tanh, and classify: (b, c, h, w) -> (b, classes).

    `hidden` (c, c) and `classify` (classes, c) are the weights of two layers without biases.
    """
    return torch.tanh(norm(x.mean((2, 3))) @ hidden.T) @ classify.T


def centered(x):
    """A layer norm without weights."""
    return F.layer_norm(x, x.shape[-1:])


def last_maps():
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    sizes = ((2, 4, 2, 2, 3), (3, 5, 1, 4, 2), (1, 8, 3, 3, 10))  # b, c, h, w, classes
    return [
        (random(b, c, h, w), centered, random(c, c), random(classes, c))
        for b, c, h, w, classes in sizes
    ]


def norm_before_pool(x, norm, hidden, classify):
    pooled = norm(x.permute(0, 2, 3, 1)).mean((1, 2))
    return torch.tanh(pooled @ hidden.T) @ classify.T


def without_norm(x, norm, hidden, classify):
    return head(x, lambda pooled: pooled, hidden, classify)


def without_tanh(x, norm, hidden, classify):
    return norm(x.mean((2, 3))) @ hidden.T @ classify.T


def without_hidden(x, norm, hidden, classify):
    return norm(x.mean((2, 3))) @ classify.T


def with_gelu(x, norm, hidden, classify):
    return F.gelu(norm(x.mean((2, 3))) @ hidden.T, approximate="tanh") @ classify.T


def with_exact_gelu(x, norm, hidden, classify):
    return F.gelu(norm(x.mean((2, 3))) @ hidden.T) @ classify.T


def tanh_twice(x, norm, hidden, classify):
    return torch.tanh(head(x, norm, hidden, classify))


def tanh_last(x, norm, hidden, classify):
    return torch.tanh(without_tanh(x, norm, hidden, classify))


def tanh_before_hidden(x, norm, hidden, classify):
    return torch.tanh(norm(x.mean((2, 3)))) @ hidden.T @ classify.T


def largest(x, norm, hidden, classify):
    return head(x.amax((2, 3), keepdim=True), norm, hidden, classify)


def weights_not_transposed(x, norm, hidden, classify):
    return torch.tanh(norm(x.mean((2, 3))) @ hidden) @ classify.T


def with_softmax(x, norm, hidden, classify):
    return head(x, norm, hidden, classify).softmax(-1)


HEAD = Exercise(
    truth=head,
    cases=last_maps,
    mistakes=(
        (norm_before_pool, "you normalized before the pool, as timm's rw models do; pool first."),
        (without_norm, "the norm between the pool and the hidden layer is missing."),
        (without_tanh, "the tanh is missing: without it, two linear layers are one."),
        (without_hidden, "the hidden layer and its tanh are missing."),
        (with_gelu, "a plain tanh follows the hidden layer, not GELU."),
        (with_exact_gelu, "a plain tanh follows the hidden layer, not GELU."),
        (tanh_twice, "there is only one tanh, after the hidden layer: logits may be any number."),
        (tanh_last, "the tanh comes after the hidden layer, not after the last one."),
        (tanh_before_hidden, "the tanh comes after the hidden layer, not before it."),
        (largest, "take the mean over the map, not the maximum."),
        (weights_not_transposed, "a layer's weight is (out, in): it is applied by @ hidden.T."),
        (with_softmax, "return logits: the loss takes the softmax itself."),
    ),
    hints=(
        "the order is: pool, norm, hidden, tanh, classify.",
        "x.mean((2, 3)) pools (b, c, h, w) to (b, c).",
        "a layer's weight is (out, in), so it is applied by @ hidden.T; the tanh stands between "
        "the two layers.",
    ),
)
