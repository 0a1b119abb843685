"""Axial attention: along the columns, then along the rows, and two layers see the whole map.

Lines are long enough that two steps reach everything, but each token then costs as much as its row
and column are long. MaxViT keeps the two steps and changes the groups: blocks and grids have two
dimensions and a fixed number of tokens, so that its cost is linear.
Source: Ho et al. 2019, "Axial Attention in Multidimensional Transformers", section 3.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from einops import rearrange

from ..block import GroupAttention
from ..configs import CONFIGS
from ..layers import gelu
from ..steps import Part
from ..weights import register
from .cpe import ConditionalPositions
from .vit import MultiHeadAttention


def rows(x, *_):
    return x  # (b, h, w, c) is (b, n, t, c)


def columns(x, *_):
    return x.transpose(1, 2)  # (b, h, w, c) -> (b, n, t, c), n = w; and back again


class RowAttention(GroupAttention):
    """A transformer layer whose groups are the rows of the map, by content alone.

    x <- x + Attention(LN(x)), then x <- x + FFN(LN(x)). Shapes: (b, c, h, w) -> (b, c, h, w), and
    any map fits. ValueError if 32, a head's width, does not divide `dim`.
    """

    partition = reverse = staticmethod(rows)
    extra_repr = Part.extra_repr  # there is no window to show

    def __init__(self, dim, expansion=4, drop_path=0.0, activation=gelu):
        super().__init__(dim, 1, expansion, drop_path, activation)  # 1 divides every side
        self.attention = MultiHeadAttention(dim)

    def scores(self, x):
        scores = self.attention.scores(self.partition(self.attention_norm(x.permute(0, 2, 3, 1))))
        return scores, torch.zeros_like(scores[0])  # no bias


class ColumnAttention(RowAttention):
    """The same layer, whose groups are the columns."""

    partition = reverse = staticmethod(columns)


class SummedAxialAttention(RowAttention):
    """Look along the row and along the column at once, and add: never global in one layer.

    x <- x + Rows(LN(x)) + Columns(LN(x)), then x <- x + FFN(LN(x)): one layer sees a cross. Its
    scores are those of twice the heads, the first half for the row, over the keys of both lines.
    """

    def __init__(self, dim, expansion=4, drop_path=0.0, activation=gelu):
        super().__init__(dim, expansion, drop_path, activation)
        self.column_attention = MultiHeadAttention(dim)

    def attend(self, x):
        return self.attention(x) + columns(self.column_attention(columns(x)))

    def scores(self, x):
        x = self.attention_norm(x.permute(0, 2, 3, 1))
        across, down = self.attention.scores(x), self.column_attention.scores(columns(x))
        heads, h, w = across.shape[1:4]
        across = rearrange(across, "b heads h w s -> b heads (h w) 1 s")  # s = w
        down = rearrange(down, "b heads w h s -> b heads (h w) 1 s")  # s = h
        ones = torch.block_diag(across.new_ones(heads, w), across.new_ones(heads, h))
        bias = ones.log()[:, None, None]  # 0, or -inf where a head does not look
        return torch.cat([F.pad(across, (0, h)), F.pad(down, (w, 0))], 1), bias

    def groups(self, numbers, extra):
        tokens = numbers[0, :, :, 0]
        h, w = tokens.shape
        lines = tokens[:, None].expand(h, w, w), tokens.T[None].expand(h, w, h)
        return tokens.reshape(-1, 1), torch.cat(lines, 2).flatten(0, 1)  # (n, 1), (n, s)


LAYERS = (ConditionalPositions, ColumnAttention, RowAttention)
AXIAL = replace(CONFIGS["compact"], window=None, parts=3 * (LAYERS,))

register(
    RowAttention=RowAttention,
    ColumnAttention=ColumnAttention,
    SummedAxialAttention=SummedAxialAttention,
)
CONFIGS["axial"] = AXIAL
