"""Lesson 6: a transformer layer on the groups of a grid, and stochastic depth."""

import torch

from ..partition import block_partition, block_reverse, grid_partition, grid_reverse
from .checking import Exercise


def grid_layer(x, grid, norm, attend, feed_forward):
    """Attend within grid groups, then transform each token by itself, each beside a shortcut.

    Shapes: x (b, h, w, c) -> (b, h, w, c); `attend` takes (b, n, t, c), the others any shape.
    """
    return layer(x, grid, norm, attend, feed_forward)


def layer(x, side, norm, attend, feed_forward, cut=grid_partition, paste=grid_reverse):
    x = x + paste(attend(cut(norm(x), side)), side, *x.shape[1:3])
    return x + feed_forward(norm(x))


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


def on_blocks(*arguments):
    return layer(*arguments, cut=block_partition, paste=block_reverse)


def pasted_as_blocks(*arguments):
    return layer(*arguments, paste=block_reverse)


def multiplied(x, grid, norm, attend, feed_forward):
    x = x * grid_reverse(attend(grid_partition(norm(x), grid)), grid, *x.shape[1:3])
    return x * feed_forward(norm(x))


def first_multiplied(x, grid, norm, attend, feed_forward):
    x = x * grid_reverse(attend(grid_partition(norm(x), grid)), grid, *x.shape[1:3])
    return x + feed_forward(norm(x))


def second_multiplied(x, grid, norm, attend, feed_forward):
    x = x + grid_reverse(attend(grid_partition(norm(x), grid)), grid, *x.shape[1:3])
    return x * feed_forward(norm(x))


def without_shortcuts(x, grid, norm, attend, feed_forward):
    x = grid_reverse(attend(grid_partition(norm(x), grid)), grid, *x.shape[1:3])
    return feed_forward(norm(x))


def one_shortcut(x, grid, norm, attend, feed_forward):
    x = x + grid_reverse(attend(grid_partition(norm(x), grid)), grid, *x.shape[1:3])
    return feed_forward(norm(x))


def around_both(x, grid, norm, attend, feed_forward):
    y = grid_reverse(attend(grid_partition(norm(x), grid)), grid, *x.shape[1:3])
    return x + feed_forward(norm(y))


def side_by_side(x, grid, norm, attend, feed_forward):
    y = grid_reverse(attend(grid_partition(norm(x), grid)), grid, *x.shape[1:3])
    return x + y + feed_forward(norm(x))


def norm_after(x, grid, norm, attend, feed_forward):
    x = norm(x + grid_reverse(attend(grid_partition(x, grid)), grid, *x.shape[1:3]))
    return norm(x + feed_forward(x))


def one_norm(x, grid, norm, attend, feed_forward):
    x = x + grid_reverse(attend(grid_partition(norm(x), grid)), grid, *x.shape[1:3])
    return x + feed_forward(x)


def normed_shortcut(x, grid, norm, attend, feed_forward):
    x = norm(x)
    x = x + grid_reverse(attend(grid_partition(x, grid)), grid, *x.shape[1:3])
    x = norm(x)
    return x + feed_forward(x)


def attention_alone(x, grid, norm, attend, feed_forward):
    return x + grid_reverse(attend(grid_partition(norm(x), grid)), grid, *x.shape[1:3])


GRID_LAYER = Exercise(
    truth=grid_layer,
    cases=maps,
    mistakes=(
        (on_blocks, "your groups are windows, which is block attention: cut the map into a grid."),
        (
            pasted_as_blocks,
            "you cut a grid but pasted blocks: the shapes agree, but the map is scrambled.",
        ),
        (multiplied, "shortcuts are added: you wrote * instead of +, twice."),
        (first_multiplied, "a shortcut is added: you wrote * instead of + around the attention."),
        (
            second_multiplied,
            "a shortcut is added: you wrote * instead of + around the feed-forward layer, as a "
            "public version once did.",
        ),
        (
            without_shortcuts,
            "both shortcuts are missing: add the input of each half to its output.",
        ),
        (one_shortcut, "the second shortcut is missing, the one around the feed-forward layer."),
        (around_both, "one shortcut spans both: attention and feed-forward layer need one each."),
        (side_by_side, "the feed-forward layer must get the sum after attention, not the old x."),
        (norm_after, "MaxViT is pre-norm: a norm opens each branch, and the sum has none."),
        (one_norm, "the feed-forward layer needs a norm before it too."),
        (normed_shortcut, "the shortcut takes x as it is; only the branch is normalized."),
        (attention_alone, "the feed-forward layer is missing, with its own norm and shortcut."),
    ),
    hints=(
        "it is two lines of the same form: x = x + branch(norm(x)).",
        "the first branch cuts, attends and pastes back: grid_partition, attend, grid_reverse.",
        "x = x + grid_reverse(attend(grid_partition(norm(x), grid)), grid, h, w); then the other.",
    ),
)


def drop_branch(branch, kept, rate):
    """Zero the images of (b, h, w, c) where `kept` (b,) is False, and scale up the others."""
    return branch * kept.view(-1, 1, 1, 1) / (1 - rate)


def branches():
    generator = torch.Generator().manual_seed(
        9
    )  # the first image is kept in one case, not in others
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
        "branch * kept.view(-1, 1, 1, 1) / (1 - rate)",
    ),
)
