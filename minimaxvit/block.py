"""Block attention and grid attention, together Max-SA, and the MaxViT block built with them."""

from torch import nn

from .attention import RelativeAttention
from .mbconv import Downsample, MBConv, StochasticDepth, gelu
from .partition import block_partition, block_reverse, grid_partition, grid_reverse


class FeedForward(nn.Module):
    """Think about each token by itself: widen, GELU, narrow. Shapes: (..., c) -> (..., c)."""

    def __init__(self, channels, expansion=4):
        super().__init__()
        self.widen = nn.Linear(channels, expansion * channels)
        self.narrow = nn.Linear(expansion * channels, channels)

    def forward(self, x):
        return self.narrow(gelu(self.widen(x)))


class GroupAttention(nn.Module):
    """A transformer layer whose attention stays within the groups of a partition.

    Subclasses say which tokens form a group. Shapes: (b, c, h, w) -> (b, c, h, w). ValueError if h
    or w does not divide by `window`. Source: paper 3.2 and 3.3.
    """

    def __init__(self, channels, window, expansion=4, drop_rate=0.0):
        super().__init__()
        self.window = window
        self.attention_norm = nn.LayerNorm(channels)
        self.attention = RelativeAttention(channels, window)
        self.feed_forward_norm = nn.LayerNorm(channels)
        self.feed_forward = FeedForward(channels, expansion)
        self.drop = StochasticDepth(drop_rate)

    def forward(self, x):
        x = x.permute(0, 2, 3, 1)  # (b, h, w, c), a free view: MaxViT keeps memory channels-last
        x = x + self.drop(self.attend(self.attention_norm(x)))
        x = x + self.drop(self.feed_forward(self.feed_forward_norm(x)))
        return x.permute(0, 3, 1, 2)

    def attend(self, x):
        groups = self.partition(x, self.window)  # (b, h, w, c) -> (b, n, t, c)
        return self.reverse(self.attention(groups), self.window, *x.shape[1:3])


class BlockAttention(GroupAttention):
    """Attention among the neighbours of a window: local."""

    partition, reverse = staticmethod(block_partition), staticmethod(block_reverse)


class GridAttention(GroupAttention):
    """Attention among tokens spread evenly over the whole map: sparse and global."""

    partition, reverse = staticmethod(grid_partition), staticmethod(grid_reverse)


MAX_SA = (BlockAttention, GridAttention)
MAXVIT = (MBConv, *MAX_SA)


class MaxViTBlock(nn.Module):
    """Look near, then far, at linear cost: MBConv, block attention, grid attention (figure 2).

    `parts` are those three classes, or others built like them, in any order, any left out. The
    first convolution strides and widens; without one, a 2x2 average pool and a 1x1 convolution do.
    Shapes: (b, c, h, w) -> (b, c', ceil(h / stride), ceil(w / stride)).
    """

    def __init__(
        self, in_channels, channels, window, stride=1, parts=MAXVIT, expansion=4, drop_rate=0.0
    ):
        super().__init__()
        self.parts = nn.ModuleList()
        if set(parts) <= set(MAX_SA) and (stride, in_channels) != (1, channels):
            self.parts.append(Downsample(in_channels, channels, stride))
            in_channels = channels
        for part in parts:
            if part in MAX_SA:
                self.parts.append(part(in_channels, window, expansion, drop_rate))
            else:
                self.parts.append(part(in_channels, channels, stride, expansion, drop_rate))
                in_channels, stride = channels, 1

    def forward(self, x):
        for part in self.parts:
            x = part(x)
        return x
