"""The mistakes of the first half of a layer are named, also while the second is missing."""

import pytest
import torch

from minimaxvit import block_partition, block_reverse, grid_partition, grid_reverse
from minimaxvit.exercises import GRID_LAYER
from minimaxvit.exercises.checking import verdict

BOTH_WAYS = {
    "grid": (grid_partition, grid_reverse),
    "blocks": (block_partition, block_reverse),
    "grid, pasted as blocks": (grid_partition, block_reverse),
    "blocks, pasted as grid": (block_partition, grid_reverse),
}
FIRST = {
    "the first shortcut is missing": ("grid", lambda x, branch, norm: branch(norm(x))),
    "you wrote * instead of + around the attention": (
        "grid",
        lambda x, branch, norm: x * branch(norm(x)),
    ),
    "the attention needs a norm before it": ("grid", lambda x, branch, norm: x + branch(x)),
    "the norm of the first branch stands at its end": (
        "grid",
        lambda x, branch, norm: x + norm(branch(x)),
    ),
    "the first shortcut takes x as it is": (
        "grid",
        lambda x, branch, norm: norm(x) + branch(norm(x)),
    ),
    "a norm opens the first branch": ("grid", lambda x, branch, norm: norm(x + branch(x))),
    "your groups are windows": ("blocks", lambda x, branch, norm: x + branch(norm(x))),
    "you cut a grid but pasted blocks": (
        "grid, pasted as blocks",
        lambda x, branch, norm: x + branch(norm(x)),
    ),
    "you cut blocks but pasted a grid": (
        "blocks, pasted as grid",
        lambda x, branch, norm: x + branch(norm(x)),
    ),
}


def answer(way, half, with_second):
    cut, paste = BOTH_WAYS[way]

    def grid_layer(x, grid, norm, attend, feed_forward):
        h, w = x.shape[1:3]
        x = half(x, lambda y: paste(attend(cut(y, grid)), grid, h, w), norm)
        return x + feed_forward(norm(x)) if with_second else x

    return grid_layer


@pytest.mark.parametrize("with_second", [True, False], ids=["whole", "half"])
@pytest.mark.parametrize("sentence", FIRST)
def test_a_mistake_of_the_first_half_is_named_with_and_without_the_second(sentence, with_second):
    said = verdict(GRID_LAYER, answer(*FIRST[sentence], with_second))
    assert said.startswith("Not yet: ") and sentence in said
    assert said.endswith("And the second half is missing.") == (not with_second)


def test_a_right_first_half_is_told_that_only_the_second_is_missing():
    said = verdict(GRID_LAYER, answer("grid", lambda x, branch, norm: x + branch(norm(x)), False))
    assert said == "Not yet: the second half is missing: norm, feed-forward, add."


def test_a_layer_whose_norm_acts_on_the_groups_is_right():
    def grid_layer(x, grid, norm, attend, feed_forward):
        groups = grid_partition(x, grid)
        x = grid_reverse(groups + attend(norm(groups)), grid, *x.shape[1:3])
        return torch.add(x, feed_forward(norm(x)))

    assert verdict(GRID_LAYER, grid_layer).startswith("Right")
