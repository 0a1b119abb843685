"""Lesson 12: shifted windows and their mask, neighborhoods at a border, and columns as groups."""

import torch
from einops import rearrange

from ..partition import block_partition
from .checking import Exercise


def may_attend(h, w, window):
    """Say which pairs of each shifted window were neighbors before the roll: bool (n, t, t)."""
    shift = window // 2
    rows, columns = torch.arange(h), torch.arange(w)
    region = 2 * (rows < shift)[:, None] + (columns < shift)  # (h, w): what rolls over an edge
    return _same(region.roll((-shift, -shift), (0, 1)), window)


def _same(region, window):
    groups = block_partition(region[None, :, :, None], window)[0]  # (n, t, 1)
    return groups == groups.mT


def maps():
    return [(8, 8, 4), (8, 12, 4), (6, 4, 2)]  # at least two windows each way


def no_mask(h, w, window):
    return torch.ones_like(may_attend(h, w, window))


def inverted(h, w, window):
    return ~may_attend(h, w, window)


def only_rows(h, w, window):
    region = (torch.arange(h) < window // 2)[:, None].expand(h, w)
    return _same(region.roll(-(window // 2), 0), window)


def before_the_roll(h, w, window):
    shift = window // 2
    return _same(2 * (torch.arange(h) < shift)[:, None] + (torch.arange(w) < shift), window)


def by_the_old_windows(h, w, window):
    shift, rows, columns = window // 2, torch.arange(h) // window, torch.arange(w) // window
    return _same((w * rows[:, None] + columns).roll((-shift, -shift), (0, 1)), window)


def with_infinities(h, w, window):
    return torch.zeros(()).masked_fill(~may_attend(h, w, window), -torch.inf)


SHIFTED_MASK = Exercise(
    truth=may_attend,
    cases=maps,
    mistakes=(
        (
            no_mask,
            "without a mask, tokens from opposite ends of the map attend to each other.",
        ),
        (inverted, "True should stand for the pairs that may attend to each other."),
        (only_rows, "columns roll over an edge, too, not only rows."),
        (
            before_the_roll,
            "your marks are at the upper and the left edge, but after the roll, up and left, what "
            "rolled over stands at the lower and the right one.",
        ),
        (
            by_the_old_windows,
            "you parted what lay in different windows before; joining those is what the shift is "
            "for. Part only what lay at opposite ends of the map.",
        ),
        (with_infinities, "return True and False; the -inf comes when they are used."),
    ),
    hints=(
        "a token rolls over the upper edge if its row is less than window // 2, and over the left "
        "edge if its column is.",
        "two tokens may attend to each other if both or neither rolled over each of the two edges: "
        "give every token a number that says over which of them it rolled.",
        "roll the map of these numbers as the tokens are rolled, cut it by block_partition, and "
        "compare each window's numbers with themselves.",
    ),
)


def neighborhood(n, k):
    """Say which k tokens of a row of n each token reads in neighborhood attention: long (n, k)."""
    first = (torch.arange(n) - k // 2).clamp(0, n - k)
    return first[:, None] + torch.arange(k)


def rows_of_tokens():
    return [(6, 3), (9, 5), (7, 7), (8, 3)]


def around(n, k):
    return torch.arange(n)[:, None] - k // 2 + torch.arange(k)


def repeated_at_the_border(n, k):
    return around(n, k).clamp(0, n - 1)


def over_the_edge(n, k):
    return around(n, k) % n


def padded(n, k):
    keys = around(n, k)
    return keys.where((keys >= 0) & (keys < n), -1)


def starts_at_itself(n, k):
    return torch.arange(n).clamp(0, n - k)[:, None] + torch.arange(k)


def clamped_too_early(n, k):
    first = (torch.arange(n) - k // 2).clamp(0, max(0, n - k - 1))
    return first[:, None] + torch.arange(k)


NEIGHBORHOOD = Exercise(
    truth=neighborhood,
    cases=rows_of_tokens,
    mistakes=(
        (around, "near the ends, your windows reach outside of the row: stop them at its ends."),
        (
            repeated_at_the_border,
            "you clamped each key, so that the ends are read several times: clamp the window as a "
            "whole, and every token has k different keys.",
        ),
        (over_the_edge, "your windows go on at the other end of the row: stop them at the end."),
        (padded, "that is zero padding, as in SASA: here a window stops at the end of the row."),
        (starts_at_itself, "the token should stand in the middle of its window, where that fits."),
        (
            clamped_too_early,
            "the last window starts at n - k, so that it ends with the last token.",
        ),
    ),
    hints=(
        "first find where the window of each token begins.",
        "away from the ends, the window of token i begins at i - k // 2; near them, neither before "
        "0 nor after n - k.",
        "clamp the beginnings, and add 0 to k - 1 to each of them by broadcasting.",
    ),
)


def by_column(x):
    """Make a group of each column of a map: (b, h, w, c) -> (b, w, h, c)."""
    return rearrange(x, "b h w c -> b w h c")


def small_maps():
    generator = torch.Generator().manual_seed(0)
    return [(torch.rand(shape, generator=generator),) for shape in ((1, 3, 2, 4), (2, 4, 4, 3))]


def by_row(x):
    return x


def reshaped(x):
    b, h, w, c = x.shape
    return x.reshape(b, w, h, c)


def channels_last_lost(x):
    return x.transpose(1, 3)


def upside_down(x):
    return by_column(x).flip(2)


BY_COLUMN = Exercise(
    truth=by_column,
    cases=small_maps,
    mistakes=(
        (by_row, "those are the rows: (b, h, w, c) already has a group per row."),
        (
            reshaped,
            "the shape is right, but a reshape cuts the rows into pieces: the axes must change "
            "places.",
        ),
        (channels_last_lost, "you exchanged rows with channels; columns and rows change places."),
        (upside_down, "your columns run from bottom to top."),
    ),
    hints=(
        "the groups of the result are the columns, and its tokens are the rows.",
        "which two axes have to change places?",
    ),
)
