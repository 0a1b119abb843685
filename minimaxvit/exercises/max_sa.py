"""Lesson 6: a transformer layer on the groups of a grid, and stochastic depth."""

import torch

from ..partition import block_partition, block_reverse, grid_partition, grid_reverse
from .checking import Exercise


def grid_layer(x, grid, norm, attend, feed_forward):
    """Attend within grid groups, then transform each token by itself, each beside a shortcut.

    Shapes: x (b, h, w, c) -> (b, h, w, c); `attend` takes (b, n, t, c), the others any shape.
    """
    return layer()(x, grid, norm, attend, feed_forward)


def right(x, branch, norm):
    return x + branch(norm(x))


def layer(first=right, second=right, cut=grid_partition, paste=grid_reverse):
    """Make a layer of two halves; a half takes x, what its branch computes, and the norm."""

    def run(x, grid, norm, attend, feed_forward):
        def attention(y):
            return paste(attend(cut(y, grid)), grid, *x.shape[1:3])

        return second(first(x, attention, norm), feed_forward, norm)

    return run


def halves(x):
    """A stand-in for a norm: it is not linear, so it matters where it stands."""
    return torch.tanh(x)


def shift_in_group(groups):
    """A stand-in for attention: each token of a group passes its numbers on, at its own weight."""
    weights = torch.linspace(0.5, 1.5, groups.shape[2], dtype=groups.dtype)
    return groups.roll(1, 2) * weights[:, None]


def squares(x):
    """A stand-in for the feed-forward layer."""
    return x.square() - 0.5 * x


def maps():
    generator = torch.Generator().manual_seed(0)
    sizes = ((4, 8, 2), (6, 6, 2), (8, 32, 4))  # h, w, grid
    return [
        (
            torch.randn(2, h, w, 3, generator=generator, dtype=torch.float64),
            grid,
            halves,
            shift_in_group,
            squares,
        )
        for h, w, grid in sizes
    ]


def multiplied(x, branch, norm):
    return x * branch(norm(x))


def without_shortcut(x, branch, norm):
    return branch(norm(x))


def normed_shortcut(x, branch, norm):
    return norm(x) + branch(norm(x))


def without_norm(x, branch, norm):
    return x + branch(x)


def norm_at_the_end(x, branch, norm):
    return x + norm(branch(x))


def norm_after_the_sum(x, branch, norm):
    return norm(x + branch(x))


def missing(x, branch, norm):
    return x


def around_both(x, grid, norm, attend, feed_forward):
    return x + layer(without_shortcut, without_shortcut)(x, grid, norm, attend, feed_forward)


def old_x_around_feed_forward(x, grid, norm, attend, feed_forward):
    y = layer(second=missing)(x, grid, norm, attend, feed_forward)
    return x + feed_forward(norm(y))


def side_by_side(x, grid, norm, attend, feed_forward):
    return layer(second=missing)(x, grid, norm, attend, feed_forward) + feed_forward(norm(x))


def feed_forward_first(x, grid, norm, attend, feed_forward):
    x = layer(missing)(x, grid, norm, attend, feed_forward)
    return layer(second=missing)(x, grid, norm, attend, feed_forward)


PUBLIC = "around the feed-forward layer, as a public version once did"
MISTAKES_OF_A_HALF = (  # which may be the first, the second or both
    (
        multiplied,
        "a shortcut is added: you wrote * instead of + around the attention.",
        f"a shortcut is added: you wrote * instead of + {PUBLIC}.",
        "shortcuts are added: you wrote * instead of +, twice.",
    ),
    (
        without_shortcut,
        "the first shortcut is missing, the one around the attention.",
        "the second shortcut is missing, the one around the feed-forward layer.",
        "both shortcuts are missing: add the input of each half to its output.",
    ),
    (
        normed_shortcut,
        "the first shortcut takes x as it is; only the branch is normalized.",
        "the second shortcut takes x as it is; only the branch is normalized.",
        "both shortcuts take x as it is; only the branches are normalized.",
    ),
    (
        without_norm,
        "the attention needs a norm before it.",
        "the feed-forward layer needs a norm before it too.",
        "both norms are missing: one opens each branch.",
    ),
    (
        norm_at_the_end,
        "the norm of the first branch stands at its end: it opens the branch.",
        "the norm of the second branch stands at its end: it opens the branch.",
        "the norms stand at the end of the branches: they open them.",
    ),
    (
        norm_after_the_sum,
        "MaxViT is pre-norm: a norm opens the first branch, and the sum has none.",
        "MaxViT is pre-norm: a norm opens the second branch, and the sum has none.",
        "MaxViT is pre-norm: a norm opens each branch, and the sums have none.",
    ),
)


def partition_by_side(x, grid):
    return grid_partition(x, x.shape[1] // grid)


def reverse_by_side(groups, grid, h, w):
    return grid_reverse(groups, h // grid, h, w)


PARTITIONS = (
    (
        {"cut": partition_by_side, "paste": reverse_by_side},
        "`grid` counts the cells along a side; it is not the side of a cell.",
    ),
    (
        {"cut": block_partition, "paste": block_reverse},
        "your groups are windows, which is block attention: cut the map into a grid.",
    ),
    (
        {"paste": block_reverse},
        "you cut a grid but pasted blocks: the shapes agree, but the map is scrambled.",
    ),
    (
        {"cut": block_partition},
        "you cut blocks but pasted a grid: the shapes agree, but the map is scrambled.",
    ),
)


def mistakes():
    """List what may be wrong in either half; in the first, also while the second is missing."""
    more = " And the second half is missing."
    named = [
        (layer(second=missing), "the second half is missing: norm, feed-forward, add."),
        (layer(missing), "the first half is missing: norm, cut, attend, paste back, add."),
        (around_both, "one shortcut spans both: attention and feed-forward layer need one each."),
        (old_x_around_feed_forward, "the second shortcut takes the sum after attention, not x."),
        (side_by_side, "the feed-forward layer must get the sum after attention, not the old x."),
        (feed_forward_first, "attention comes first, and the feed-forward layer after it."),
    ]
    for half, first, second, both in MISTAKES_OF_A_HALF:
        named += [
            (layer(half), first),
            (layer(half, missing), first + more),
            (layer(second=half), second),
            (layer(half, half), both),
        ]
    for other, sentence in PARTITIONS:
        named += [(layer(**other), sentence), (layer(second=missing, **other), sentence + more)]
    return tuple(named)


GRID_LAYER = Exercise(
    truth=grid_layer,
    cases=maps,
    mistakes=mistakes(),
    hints=(
        "it is two lines of the same form: x = x + branch(norm(x)).",
        "the first branch cuts, attends and pastes back: grid_partition, attend, grid_reverse.",
        "grid_reverse needs the sides of the map, x.shape[1:3]; the second branch needs no groups, "
        "and takes the x that the first line has made.",
    ),
)


def drop_branch(branch, kept, rate):
    """Zero the images of (b, h, w, c) where `kept` (b,) is False, and scale up the others."""
    return branch * kept.view(-1, 1, 1, 1) / (1 - rate)


def branches():
    # With this seed, the first image is kept in one case, and not in others.
    generator = torch.Generator().manual_seed(9)
    sizes = ((4, 2, 2, 3, 0.5), (4, 4, 4, 4, 0.2), (6, 1, 3, 2, 0.25))  # b, h, w, c, rate
    return [
        (
            torch.randn(b, h, w, c, generator=generator, dtype=torch.float64),
            torch.rand(b, generator=generator) >= 0.5,
            rate,
        )
        for b, h, w, c, rate in sizes
    ]


def not_made_up(branch, kept, rate):
    return branch * kept.view(-1, 1, 1, 1)


def divided_by_the_rate(branch, kept, rate):
    return branch * kept.view(-1, 1, 1, 1) / rate


def multiplied_by_kept(branch, kept, rate):
    return branch * kept.view(-1, 1, 1, 1) * (1 - rate)


def dropped_for_kept(branch, kept, rate):
    return branch * ~kept.view(-1, 1, 1, 1) / (1 - rate)


def none_dropped(branch, kept, rate):
    return branch / (1 - rate)


def all_or_none(branch, kept, rate):
    return branch * kept[0] / (1 - rate)


def removed(branch, kept, rate):
    return branch[kept] / (1 - rate)


DROP_BRANCH = Exercise(
    truth=drop_branch,
    cases=branches,
    mistakes=(
        (not_made_up, "the mean gets smaller: divide what is kept by 1 - rate."),
        (divided_by_the_rate, "divide by the probability of being *kept*, which is 1 - rate."),
        (multiplied_by_kept, "you multiplied by 1 - rate: divide by it, so that the mean stays."),
        (dropped_for_kept, "you dropped the images that `kept` keeps."),
        (none_dropped, "images that are dropped must become zero: use `kept`."),
        (all_or_none, "you tossed one coin for the whole batch: each image needs its own."),
        (removed, "the batch got smaller: a dropped branch is zero, so that its shortcut remains."),
    ),
    hints=(
        "multiply the branch by 1 for kept images and by 0 for the others.",
        "kept.view(-1, 1, 1, 1) stretches (b,) over h, w and c.",
        "then make up for the dropped ones: divide by the probability that an image is kept.",
    ),
)
