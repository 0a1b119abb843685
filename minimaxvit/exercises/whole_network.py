"""Lesson 7: the rates of stochastic depth through a network, and its head."""

import torch
import torch.nn.functional as F

from .checking import Exercise


def drop_rates(blocks, rate):
    """The rate of every block, in the order of the network: block i of n drops at rate * i / n."""
    n = sum(blocks)
    return torch.tensor([rate * i / n for i in range(n)], dtype=torch.float64)


def networks():
    return [((2, 2, 5, 2), 0.2), ((1, 1), 0.1), ((2, 6, 14, 2), 0.4)]


def up_to_the_rate(blocks, rate):
    return torch.linspace(0, rate, sum(blocks), dtype=torch.float64)


def from_one(blocks, rate):
    n = sum(blocks)
    return torch.tensor([rate * (i + 1) / n for i in range(n)], dtype=torch.float64)


def anew_in_every_stage(blocks, rate):
    rates = [rate * i / n for n in blocks for i in range(n)]
    return torch.tensor(rates, dtype=torch.float64)


def stage_by_stage(blocks, rate):
    rates = [rate * stage / len(blocks) for stage, n in enumerate(blocks) for _ in range(n)]
    return torch.tensor(rates, dtype=torch.float64)


def the_same_for_all(blocks, rate):
    return torch.full((sum(blocks),), rate, dtype=torch.float64)


def falling(blocks, rate):
    return drop_rates(blocks, rate).flip(0)


def one_too_many(blocks, rate):
    return torch.linspace(0, rate, sum(blocks) + 1, dtype=torch.float64)


def one_a_stage(blocks, rate):
    return torch.tensor([rate * i / len(blocks) for i in range(len(blocks))], dtype=torch.float64)


DROP_RATES = Exercise(
    truth=drop_rates,
    cases=networks,
    mistakes=(
        (up_to_the_rate, "linspace reaches `rate` in the last block; rate * i / n stays below it."),
        (from_one, "count blocks from 0: the first is never dropped."),
        (anew_in_every_stage, "the rates begin anew in every stage; count through the network."),
        (stage_by_stage, "the rates rise by stages; they rise block by block."),
        (the_same_for_all, "every block has the full rate; it rises with depth."),
        (falling, "the rates fall; the first block has 0, and they rise from there."),
        (one_too_many, "one rate too many: the block that would have `rate` is not there."),
        (one_a_stage, "give one rate for each block, not for each stage."),
    ),
    hints=(
        "how many blocks are there in all? Number them through, from 0.",
        "n = sum(blocks); block i of n has rate * i / n.",
        "torch.tensor([rate * i / n for i in range(n)])",
    ),
)


def head(x, norm, hidden, classify):
    """Pool, norm, a hidden layer with tanh, and the classes: (b, c, h, w) -> (b, classes).

    `hidden` (c, c) and `classify` (classes, c) are the weights of two layers without biases.
    """
    return torch.tanh(norm(x.mean((2, 3))) @ hidden.T) @ classify.T


def centred(x):
    """A layer norm without weights."""
    return F.layer_norm(x, x.shape[-1:])


def last_maps():
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    sizes = ((2, 4, 2, 2, 3), (3, 5, 1, 4, 2), (1, 8, 3, 3, 10))  # b, c, h, w, classes
    return [
        (random(b, c, h, w), centred, random(c, c), random(classes, c))
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


def weights_not_turned(x, norm, hidden, classify):
    return torch.tanh(norm(x.mean((2, 3))) @ hidden) @ classify.T


def with_softmax(x, norm, hidden, classify):
    return head(x, norm, hidden, classify).softmax(-1)


HEAD = Exercise(
    truth=head,
    cases=last_maps,
    mistakes=(
        (norm_before_pool, "you normed first and pooled afterwards, as a port does; pool first."),
        (without_norm, "the norm is missing, between the pool and the hidden layer."),
        (without_tanh, "the tanh is missing: without it, two linear layers are one."),
        (without_hidden, "the hidden layer and its tanh are missing."),
        (with_gelu, "after the hidden layer comes a plain tanh, not GELU."),
        (with_exact_gelu, "after the hidden layer comes a plain tanh, not GELU."),
        (tanh_twice, "only one tanh, after the hidden layer: logits may be any number."),
        (tanh_last, "the tanh comes after the hidden layer, not after the last one."),
        (tanh_before_hidden, "the tanh comes after the hidden layer, not before it."),
        (largest, "pool by the mean over the map, not by its largest value."),
        (weights_not_turned, "a layer's weight is (out, in): it is applied by @ hidden.T."),
        (with_softmax, "return logits: the loss takes the softmax itself."),
    ),
    hints=(
        "in order: pool, norm, hidden, tanh, classify.",
        "x.mean((2, 3)) pools (b, c, h, w) to (b, c).",
        "torch.tanh(norm(x.mean((2, 3))) @ hidden.T) @ classify.T",
    ),
)
