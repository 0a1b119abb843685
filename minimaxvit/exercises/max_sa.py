"""Lesson 6: a transformer layer on the groups of a grid, and stochastic depth."""

import torch

from ..partition import block_partition, block_reverse, grid_partition, grid_reverse
from .checking import Exercise


def grid_layer(x, grid, norm, attend, think):
    """Attend within grid groups, then think token by token, each beside a shortcut.

    Shapes: x (b, h, w, c) -> (b, h, w, c); `attend` takes (b, n, t, c), `norm` and `think` any.
    """
    return layer(x, grid, norm, attend, think)


def layer(x, side, norm, attend, think, cut=grid_partition, paste=grid_reverse):
    x = x + paste(attend(cut(norm(x), side)), side, *x.shape[1:3])
    return x + think(norm(x))


def halves(x):
    """A stand-in for a norm: it is not linear, so its place can be told."""
    return torch.tanh(x)


def shift_in_group(groups):
    """A stand-in for attention: tokens of a group hand their numbers on, unequally."""
    weights = torch.linspace(0.5, 1.5, groups.shape[2], dtype=groups.dtype)
    return groups.roll(1, 2) * weights[:, None]


def squares(x):
    """A stand-in for the feed-forward."""
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


def multiplied(x, grid, norm, attend, think):
    x = x * grid_reverse(attend(grid_partition(norm(x), grid)), grid, *x.shape[1:3])
    return x * think(norm(x))


def first_multiplied(x, grid, norm, attend, think):
    x = x * grid_reverse(attend(grid_partition(norm(x), grid)), grid, *x.shape[1:3])
    return x + think(norm(x))


def second_multiplied(x, grid, norm, attend, think):
    x = x + grid_reverse(attend(grid_partition(norm(x), grid)), grid, *x.shape[1:3])
    return x * think(norm(x))


def without_shortcuts(x, grid, norm, attend, think):
    x = grid_reverse(attend(grid_partition(norm(x), grid)), grid, *x.shape[1:3])
    return think(norm(x))


def one_shortcut(x, grid, norm, attend, think):
    x = x + grid_reverse(attend(grid_partition(norm(x), grid)), grid, *x.shape[1:3])
    return think(norm(x))


def around_both(x, grid, norm, attend, think):
    y = grid_reverse(attend(grid_partition(norm(x), grid)), grid, *x.shape[1:3])
    return x + think(norm(y))


def side_by_side(x, grid, norm, attend, think):
    y = grid_reverse(attend(grid_partition(norm(x), grid)), grid, *x.shape[1:3])
    return x + y + think(norm(x))


def norm_after(x, grid, norm, attend, think):
    x = norm(x + grid_reverse(attend(grid_partition(x, grid)), grid, *x.shape[1:3]))
    return norm(x + think(x))


def one_norm(x, grid, norm, attend, think):
    x = x + grid_reverse(attend(grid_partition(norm(x), grid)), grid, *x.shape[1:3])
    return x + think(x)


def normed_shortcut(x, grid, norm, attend, think):
    x = norm(x)
    x = x + grid_reverse(attend(grid_partition(x, grid)), grid, *x.shape[1:3])
    x = norm(x)
    return x + think(x)


def attention_alone(x, grid, norm, attend, think):
    return x + grid_reverse(attend(grid_partition(norm(x), grid)), grid, *x.shape[1:3])


GRID_LAYER = Exercise(
    truth=grid_layer,
    cases=maps,
    mistakes=(
        (on_blocks, "your groups are windows: that is block attention; cut into a grid."),
        (pasted_as_blocks, "you cut a grid and pasted blocks: shapes agree, the map is scrambled."),
        (multiplied, "a shortcut is added: you wrote * for +, twice."),
        (first_multiplied, "a shortcut is added: you wrote * for + around the attention."),
        (
            second_multiplied,
            "a shortcut is added: you wrote * for + around the feed-forward, as a public port did.",
        ),
        (without_shortcuts, "the shortcuts are missing: add what came in, twice."),
        (one_shortcut, "the second shortcut is missing, around the feed-forward."),
        (around_both, "one shortcut spans both; attention and feed-forward have one each."),
        (side_by_side, "the feed-forward must see what attention has added, not the old x."),
        (norm_after, "MaxViT norms *before* attention and feed-forward, and leaves the sum alone."),
        (one_norm, "the feed-forward has a norm before it too."),
        (normed_shortcut, "the shortcut takes x as it is; only the branch is normed."),
        (attention_alone, "the feed-forward is missing, with its own norm and shortcut."),
    ),
    hints=(
        "two lines of the same form: x = x + branch(norm(x)).",
        "the first branch cuts, attends and pastes: grid_partition, attend, grid_reverse.",
        "x = x + grid_reverse(attend(grid_partition(norm(x), grid)), grid, h, w); then the second.",
    ),
)


def drop_branch(branch, kept, rate):
    """Leave out whole pictures of (b, h, w, c) where `kept` (b,) is False; make up for it."""
    return branch * kept.view(-1, 1, 1, 1) / (1 - rate)


def branches():
    generator = torch.Generator().manual_seed(9)  # first pictures are kept in a case, not in others
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
        (not_made_up, "the mean shrinks: divide what is left by 1 - rate."),
        (divided_by_the_rate, "divide by the share that is *kept*, 1 - rate."),
        (multiplied_by_kept, "you multiplied by 1 - rate; to keep the mean, divide."),
        (dropped_for_kept, "you dropped the pictures that `kept` keeps."),
        (none_dropped, "pictures that are dropped must become zero: use `kept`."),
        (all_or_none, "one coin for the whole batch: each picture has its own."),
        (removed, "the batch got smaller: a dropped branch is zero, so that the shortcut is left."),
    ),
    hints=(
        "multiply the branch by 1 for kept pictures and by 0 for the others.",
        "kept.view(-1, 1, 1, 1) stretches (b,) over h, w and c.",
        "branch * kept.view(-1, 1, 1, 1) / (1 - rate)",
    ),
)
