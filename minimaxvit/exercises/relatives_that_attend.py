"""Lesson 12: shifted windows and their mask, neighborhoods at a border, and columns as groups."""

import torch
from einops import rearrange

from ..partition import block_partition
from .checking import Exercise

ONE_MARK = (
    "a token that rolled over the upper edge, one that rolled over the left edge and one that "
    "rolled over both need three different marks."
)
NUMBERS = "return True and False; numbers to add to the scores come when they are used."


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
    return [(8, 8, 4), (8, 12, 4), (6, 9, 3)]  # at least two windows each way, and an odd one


def no_mask(h, w, window):
    return torch.ones_like(may_attend(h, w, window))


def inverted(h, w, window):
    return ~may_attend(h, w, window)


def only_rows(h, w, window):
    region = (torch.arange(h) < window // 2)[:, None].expand(h, w)
    return _same(region.roll(-(window // 2), 0), window)


def only_columns(h, w, window):
    region = (torch.arange(w) < window // 2).expand(h, w)
    return _same(region.roll(-(window // 2), 1), window)


def marked(h, w, window, shift, join):
    rows, columns = torch.arange(h) < shift, torch.arange(w) < shift
    region, rolled = join(rows[:, None].int(), columns.int()), window // 2
    return _same(region.roll((-rolled, -rolled), (0, 1)), window)


def rounded_up(h, w, window):
    half = (window + 1) // 2
    rows, columns = torch.arange(h) >= h - half, torch.arange(w) >= w - half
    return _same(2 * rows[:, None] + columns, window)


def whole_windows(h, w, window):
    return marked(h, w, window, window, lambda rows, columns: 2 * rows + columns)


def either_edge(h, w, window):
    return marked(h, w, window, window // 2, torch.maximum)


def both_added(h, w, window):
    return marked(h, w, window, window // 2, torch.add)


def before_the_roll(h, w, window):
    shift = window // 2
    return _same(2 * (torch.arange(h) < shift)[:, None] + (torch.arange(w) < shift), window)


def by_the_old_windows(h, w, window):
    shift, rows, columns = window // 2, torch.arange(h) // window, torch.arange(w) // window
    return _same((w * rows[:, None] + columns).roll((-shift, -shift), (0, 1)), window)


def with_infinities(h, w, window):
    return torch.zeros(()).masked_fill(~may_attend(h, w, window), -torch.inf)


def with_hundreds(h, w, window):
    return torch.zeros(()).masked_fill(~may_attend(h, w, window), -100)


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
        (only_columns, "rows roll over an edge, too, not only columns."),
        (rounded_up, "an odd window rolls by window // 2, rounded down: mark no more than that."),
        (whole_windows, "only window // 2 rows and columns roll over an edge."),
        (either_edge, ONE_MARK),
        (both_added, ONE_MARK),
        (
            before_the_roll,
            "your marks are at the upper and the left edge, but after the roll, up and left, what "
            "rolled over stands at the lower and the right one (roll by -(window // 2)).",
        ),
        (
            by_the_old_windows,
            "you parted what lay in different windows before; joining those is what the shift is "
            "for. Part only what lay at opposite ends of the map.",
        ),
        (with_infinities, NUMBERS),
        (with_hundreds, NUMBERS),
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


RIGHT_END = "at the right end your windows reach outside of the row: clamp the beginning to n - k."


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


def clamped_on_the_left(n, k):
    return (torch.arange(n) - k // 2).clamp(0)[:, None] + torch.arange(k)


def clamped_to_the_row(n, k):
    return (torch.arange(n) - k // 2).clamp(0, n - 1)[:, None] + torch.arange(k)


def clamped_too_early(n, k):
    first = (torch.arange(n) - k // 2).clamp(0, max(0, n - k - 1))
    return first[:, None] + torch.arange(k)


def clamped_before_the_row(n, k):  # the same, where n = k is no case of its own
    first = (torch.arange(n) - k // 2).clamp(0, n - k - 1)
    return first[:, None] + torch.arange(k)


LAST = "the last window starts at n - k, so that it ends with the last token."
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
        (padded, "that is padding: here the window stops at the end, and still has k tokens."),
        (clamped_on_the_left, RIGHT_END),
        (clamped_to_the_row, RIGHT_END),
        (starts_at_itself, "the token should stand in the middle of its window, where that fits."),
        (clamped_too_early, LAST),
        (clamped_before_the_row, LAST),
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


def columns_with_channels(x):
    return x.mT


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
        (
            columns_with_channels,
            "that exchanges columns with channels; rows and columns change places.",
        ),
        (channels_last_lost, "you exchanged rows with channels; columns and rows change places."),
        (upside_down, "your columns run from bottom to top."),
    ),
    hints=(
        "the groups of the result are the columns, and its tokens are the rows.",
        "which two axes have to change places?",
    ),
)
