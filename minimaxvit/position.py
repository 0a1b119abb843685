"""Where a key is relative to its query, and the bias that attention adds for that offset.

Offsets repeat all over a window, so its t * t pairs share a table of (2 * p - 1) ** 2 numbers.
"""

import torch
from torch import nn


def relative_position_index(window):
    """Find the index of table[key - query] in the flattened table, for every pair of a window.

    Returns long (t, t), one row per query and one column per key, tokens row by row; the offset
    (0, 0) is in the middle of the table. Source: google-research/maxvit, attn_utils.py.
    """
    row, column = torch.cartesian_prod(torch.arange(window), torch.arange(window)).T  # (t,) each
    down, right = (each[None] - each[:, None] for each in (row, column))  # (t, t): key minus query
    return (down + window - 1) * (2 * window - 1) + right + window - 1


class RelativePositionBias(nn.Module):
    """The learned bias of every query and key of a window: () -> (heads, t, t).

    The table, N(0, 0.02) at first, is read at every call: a bias that was read once, when the
    module was built, would never learn. Source: paper 3.1, relative attention.
    """

    def __init__(self, heads, window):
        super().__init__()
        self.table = nn.Parameter(0.02 * torch.randn(heads, 2 * window - 1, 2 * window - 1))
        self.register_buffer("index", relative_position_index(window), persistent=False)

    def forward(self):
        return self.table.flatten(1)[:, self.index]  # (heads, 2p-1, 2p-1) -> (heads, t, t)
