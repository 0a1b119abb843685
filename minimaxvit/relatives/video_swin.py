"""Video Swin: shifted windows in three dimensions, over frames as well as rows and columns.

A window spans a few frames, so attention follows what moves in it; everything else is Swin's, and
with windows of one frame it is MaxViT's block attention, frame by frame. It is no `Part`: the maps
of a network here have two dimensions.
Source: Liu et al. 2022, "Video Swin Transformer", section 3.2.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from ..layers import FeedForward
from .vit import MultiHeadAttention

AXES = (1, 2, 3)  # of frames, rows and columns


def video_partition(x, window):
    """Cut a clip into windows: (b, f, h, w, c) -> (b, n, t, c). ValueError unless they fit."""
    (f, h, w), (p, m, q) = x.shape[1:4], window
    if f % p or h % m or w % q:
        raise ValueError(
            f"a clip of {f} frames of {h} x {w} tokens is not divisible by windows of {p} frames "
            f"of {m} x {q}"
        )
    return rearrange(x, "b (f p) (h m) (w q) c -> b (f h w) (p m q) c", p=p, m=m, q=q)


def video_reverse(groups, window, f, h, w):
    """Paste windows back into a clip: the exact inverse of `video_partition`."""
    p, m, q = window
    sizes = {"f": f // p, "h": h // m, "w": w // q, "p": p, "m": m}
    return rearrange(groups, "b (f h w) (p m q) c -> b (f p) (h m) (w q) c", **sizes)


class VideoWindowAttention(nn.Module):
    """A transformer layer whose attention stays within windows of P frames and M x M tokens.

    x <- x + Attention(LN(x)), then x <- x + FFN(LN(x)), where attention is softmax(q k^T / sqrt(d)
    + bias[key - query]) v, with (2P - 1)(2M - 1)(2M - 1) biases a head. `window` is (P, M, M).
    Shapes: (b, c, f, h, w) -> (b, c, f, h, w). ValueError if the window does not divide the clip,
    or 32, a head's width, `dim`. Source: section 3.2.
    """

    def __init__(self, dim, window, expansion=4, activation=F.gelu):
        super().__init__()
        self.window = window
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = MultiHeadAttention(dim)
        heads = dim // self.attention.head_dim
        self.table = nn.Parameter(torch.empty(heads, *(2 * side - 1 for side in window)))
        nn.init.normal_(self.table, std=0.02)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim, expansion, activation)

    def forward(self, x):
        x = rearrange(x, "b c f h w -> b f h w c")
        x = x + self.attend(self.attention_norm(x))
        x = x + self.feed_forward(self.feed_forward_norm(x))
        return rearrange(x, "b f h w c -> b c f h w")

    def attend(self, x):
        attention, sides = self.attention, x.shape[1:4]
        groups = self.partition(x)  # (b, n, t, c)
        logits = attention.scores(groups) + self.position_bias()[:, None]  # (b, heads, n, t, t)
        weights = logits.masked_fill(self.parted(sides, x.device), -torch.inf).softmax(-1)
        out = weights @ attention.split_heads(attention.value(groups))
        out = attention.output(rearrange(out, "b heads n t d -> b n t (heads d)"))
        return video_reverse(out, self.window, *sides).roll(self.shifts(sides), AXES)

    def partition(self, x):
        back = [-shift for shift in self.shifts(x.shape[1:4])]
        return video_partition(x.roll(back, AXES), self.window)

    def shifts(self, sides):
        return [0, 0, 0]

    def position_bias(self):
        """Look up the bias of each pair of a window by key minus query: (heads, t, t)."""
        sides = [torch.arange(side, device=self.table.device) for side in self.window]
        places = torch.cartesian_prod(*sides)  # (t, 3)
        offsets = places[None] - places[:, None] + places[-1]  # (t, t, 3), from 0 on
        return self.table[:, *offsets.unbind(-1)]

    def parted(self, sides, device):
        """Say which pairs of a window only the roll brought together: bool (n, t, t)."""
        region = torch.zeros(1, *sides, 1, device=device)
        for axis, shift in zip(AXES, self.shifts(sides), strict=True):
            region.narrow(axis, 0, shift).add_(2**axis)  # what is rolled over an edge
        region = self.partition(region)[0]  # (n, t, 1)
        return region != region.mT


class ShiftedVideoWindowAttention(VideoWindowAttention):
    """The same in windows shifted by half their sides, along each axis that has several.

    The clip is rolled, and pairs that only the roll brought together are masked. Source: section
    3.2, "3D Shifted Windows".
    """

    def shifts(self, sides):
        pairs = zip(sides, self.window, strict=True)
        return [size // 2 if side > size else 0 for side, size in pairs]
