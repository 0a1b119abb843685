"""Where a key (the token looked at) stands as seen from its query (the token that looks), and the
bias that attention adds for that offset. Offsets repeat all over a window, so its t * t pairs share
a table of (2 * p - 1) ** 2 numbers.
"""

import torch
from torch import nn


def relative_position_index(window):
    """Say where table[key - query] stands in the flattened table, for every pair of a window.

    Returns long (t, t), one row per query and one column per key, t = window * window, tokens row
    by row; the offset (0, 0) stands in the middle. Source: google-research/maxvit, attn_utils.py.
    """
    row, column = torch.cartesian_prod(torch.arange(window), torch.arange(window)).T  # (t,) each
    down, right = (each[None] - each[:, None] for each in (row, column))  # (t, t): key minus query
    return (down + window - 1) * (2 * window - 1) + right + window - 1


class RelativePositionBias(nn.Module):
    """The learnt bias of every query and key of a window, which makes attention see position.

    Shapes: () -> (heads, t, t). The table, N(0, 0.02) at first, is read at every call: a bias read
    once, when the module is built, would never learn. Source: paper 3.1, relative attention.
    """

    def __init__(self, heads, window):
        super().__init__()
        self.table = nn.Parameter(torch.empty(heads, 2 * window - 1, 2 * window - 1))
        nn.init.normal_(self.table, std=0.02)
        self.register_buffer("index", relative_position_index(window), persistent=False)

    def forward(self):
        return self.table.flatten(1)[:, self.index]  # (heads, 2p-1, 2p-1) -> (heads, t, t)
