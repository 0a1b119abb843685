"""Block attention and grid attention, together Max-SA, and the MaxViT block built with them."""

from torch import nn

from .attention import RelativeAttention
from .layers import FeedForward, StochasticDepth, gelu
from .mbconv import Downsample, MBConv
from .partition import block_partition, block_reverse, grid_partition, grid_reverse
from .steps import Add, Attend, Part, build, resamples


class GroupAttention(Part):
    """A transformer layer whose attention stays within the groups of a partition.

    x <- x + Attention(LN(x)), then x <- x + FFN(LN(x)). Subclasses say which tokens form a group.
    Shapes: (b, c, h, w) -> (b, c, h, w). ValueError if h or w is not divisible by `window`.
    Source: paper 3.2 and 3.3.
    """

    def __init__(self, dim, window, expansion=4, drop_path=0.0, activation=gelu):
        super().__init__()
        self.window = self.divisor = window
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = RelativeAttention(dim, window)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim, expansion, activation)
        self.drop = StochasticDepth(drop_path)

    def forward(self, x):
        x = x.permute(0, 2, 3, 1)  # (b, h, w, c), a free view: MaxViT keeps memory channels-last
        x = x + self.drop(self.attend(self.attention_norm(x)))
        x = x + self.drop(self.feed_forward(self.feed_forward_norm(x)))
        return x.permute(0, 3, 1, 2)

    def attend(self, x):
        groups = self.partition(x, self.window)  # (b, h, w, c) -> (b, n, t, c)
        return self.reverse(self.attention(groups), self.window, *x.shape[1:3])

    def scores(self, x):
        groups = self.partition(self.attention_norm(x.permute(0, 2, 3, 1)), self.window)
        return self.attention.scores(groups), self.attention.bias()[:, None]

    def steps(self):
        return (Add(((), (Attend(self.groups),))),)

    def groups(self, numbers, extra):
        tokens = self.partition(numbers, self.window)[0, :, :, 0]  # (n, t)
        return tokens, tokens

    def extra_repr(self):
        return f"window={self.window}"


class BlockAttention(GroupAttention):
    """Attention among the neighbors of a window: local."""

    partition, reverse = staticmethod(block_partition), staticmethod(block_reverse)


class GridAttention(GroupAttention):
    """Attention among tokens spread evenly over the whole map: sparse and global."""

    partition, reverse = staticmethod(grid_partition), staticmethod(grid_reverse)


MAX_SA = (BlockAttention, GridAttention)
MAXVIT_PARTS = (MBConv, *MAX_SA)


class MaxViTBlock(nn.Module):
    """Look near, then far, at linear cost: MBConv, block attention, grid attention (figure 2).

    `parts` are any subclasses of `Part`. The first of them that resamples applies the stride and
    changes the channels; if none does, `downsample` comes first and does both. `options` are for
    the parts: window, expansion, ...
    Shapes: (b, c, h, w) -> (b, c', ceil(h / stride), ceil(w / stride)).
    """

    def __init__(self, in_dim, dim, stride=1, parts=MAXVIT_PARTS, downsample=Downsample, **options):
        super().__init__()
        if not any(map(resamples, parts)) and (stride, in_dim) != (1, dim):
            parts = (downsample, *parts)
        self.parts = nn.ModuleList()
        for part in parts:
            out_dim = dim if resamples(part) else in_dim
            options |= {"in_dim": in_dim, "dim": out_dim, "stride": stride}
            self.parts.append(build(part, options))
            in_dim, stride = out_dim, 1 if resamples(part) else stride

    def forward(self, x):
        return self.run(x)[0]

    def run(self, x, *extra):
        for part in self.parts:
            x, *extra = part.run(x, *extra)
        return x, *extra
