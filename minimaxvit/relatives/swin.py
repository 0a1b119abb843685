"""Swin: attention in windows, and in every second layer in windows shifted by half their side.

Its windows are MaxViT's blocks, and half of its layers are `BlockAttention` as it stands. What lies
across a border is reached through the other half, a few tokens farther with each layer. MaxViT
replaced the shifted windows with the grid, which spans the whole map at once and needs no mask.
Source: Liu et al. 2021, "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows".
"""

from dataclasses import replace

import torch
from einops import rearrange
from torch import nn

from ..block import BlockAttention
from ..configs import CONFIGS
from ..partition import block_partition, block_reverse
from ..steps import Part, Taps
from ..weights import register


class ShiftedWindowAttention(BlockAttention):
    """Attention in windows that lie across the borders of the layer before.

    softmax(q k^T / sqrt(d) + bias + mask) v, on the map rolled up and left by half a window. What
    rolls over an edge lands beside tokens from the other end of the map; the mask, -inf, parts
    them. (The published code has -100: exp(-100) is 4e-44, which vanishes beside other weights.)
    A side of a single window has no borders to cross, and is not shifted. Shapes: (b, c, h, w) ->
    (b, c, h, w). ValueError if `window` does not divide h or w. Source: equations 3 and 4.
    """

    def attend(self, x):
        attention, groups = self.attention, self.partition(x, self.window)  # (b, n, t, c)
        logits = attention.scores(groups) + self.masked_bias(x)  # (b, heads, n, t, t)
        out = logits.softmax(-1) @ attention.split_heads(attention.value(groups))
        out = attention.output(rearrange(out, "b heads n t d -> b n t (heads d)"))
        return self.reverse(out, self.window, *x.shape[1:3])

    def partition(self, x, window):
        back = [-shift for shift in self.shifts(*x.shape[1:3])]
        return block_partition(x.roll(back, (1, 2)), window)

    def reverse(self, groups, window, h, w):
        return block_reverse(groups, window, h, w).roll(self.shifts(h, w), (1, 2))

    def shifts(self, *sides):
        return [self.window // 2 if side > self.window else 0 for side in sides]

    def masked_bias(self, x):
        return self.attention.bias()[:, None].masked_fill(self.parted(x), -torch.inf)

    def parted(self, x):
        """Say which pairs of a window only the roll brought together: bool (n, t, t)."""
        rows, columns = (torch.arange(side, device=x.device) for side in x.shape[1:3])
        down, right = self.shifts(*x.shape[1:3])
        region = 2 * (rows < down)[:, None] + (columns < right)  # (h, w), by the edges rolled over
        region = self.partition(region[None, :, :, None], self.window)[0]  # (n, t, 1)
        return region != region.mT

    def scores(self, x):
        x = self.attention_norm(x.permute(0, 2, 3, 1))
        scores = self.attention.scores(self.partition(x, self.window))
        one_query = "... n t s -> ... (n t) 1 s"  # each query has keys of its own
        return rearrange(scores, one_query), rearrange(self.masked_bias(x), one_query)

    def groups(self, numbers, extra):
        queries = self.partition(numbers, self.window)[0]  # (n, t, 1)
        keys = queries.mT.masked_fill(self.parted(numbers), -1)  # (n, t, t)
        return queries.flatten(0, 1), keys.flatten(0, 1)


class PatchMerging(Part):
    """Make a map coarser by laying the channels of 2 x 2 tokens side by side and projecting them.

    Linear(LN(concatenation)), from 4c channels to c', in the paper 2c. The four come column by
    column, as in the published weights; an odd side, which is padded there, is a misfit here.
    Shapes: (b, c, h, w) -> (b, c', h / stride, w / stride), or ValueError. Source: section 3.1.
    """

    def __init__(self, in_dim, dim, stride):
        super().__init__()
        self.stride = self.divisor = stride
        self.norm = nn.LayerNorm(stride**2 * in_dim)
        self.reduce = nn.Linear(stride**2 * in_dim, dim, bias=False)

    def forward(self, x):
        blocks = block_partition(x.permute(0, 2, 3, 1), self.stride)  # (b, n, t, c)
        sides = {"r": self.stride, "h": x.shape[2] // self.stride}
        x = rearrange(blocks, "b (h w) (r s) c -> b h w (s r c)", **sides)
        return self.reduce(self.norm(x)).permute(0, 3, 1, 2)

    def steps(self):
        return (Taps(nn.AvgPool2d(self.stride)),)  # which reads the same tokens


PAIR = (BlockAttention, ShiftedWindowAttention)  # the last map is one window: nothing is shifted
SWIN = replace(CONFIGS["compact"], parts=3 * (PAIR,), downsample=PatchMerging)

register(ShiftedWindowAttention=ShiftedWindowAttention, PatchMerging=PatchMerging)
CONFIGS["swin"] = SWIN
