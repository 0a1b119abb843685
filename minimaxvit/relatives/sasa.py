"""Stand-alone self-attention: attention in place of convolution, over the same sliding window.

It was among the first networks that need no spatial convolution, and attention looks near alone.
MaxViT keeps convolutions for what is near and attends to what is far, too. Its position bias is one
number for an offset; here an offset has a vector, and the query decides what it counts.
Source: Ramachandran et al. 2019, "Stand-Alone Self-Attention in Vision Models", section 3.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from ..block import GroupAttention
from ..configs import CONFIGS
from ..layers import gelu
from ..weights import register


def sliding_windows(x, window, outside=0):
    """Gather the window around every token: (b, h, w, c) -> (b, n, s, c), n = h * w."""
    x = F.pad(x, (0, 0, *2 * (window // 2, (window - 1) // 2)), value=outside)
    windows = x.unfold(1, window, 1).unfold(2, window, 1)  # (b, h, w, c, p, p)
    return rearrange(windows, "b h w c p1 p2 -> b (h w) (p1 p2) c")


class SlidingAttention(nn.Module):
    """Let each token gather from its window, by content and by where in the window a key stands.

    softmax((q k^T + q r^T) / sqrt(d)) v, r = [row offset, column offset], half of d each. Outside
    of the map k and v are 0, but r is not: what a token gives to the padding is lost. The paper
    writes no sqrt(d), which queries can learn. Shapes: (b, h, w, c) -> (b, h, w, c). ValueError if
    `head_dim` does not divide `dim`. Source: equation 3, figure 4.
    """

    def __init__(self, dim, window, head_dim=32):
        super().__init__()
        if dim % head_dim:
            raise ValueError(f"{dim} channels do not divide into heads of dimension {head_dim}")
        self.window, self.head_dim = window, head_dim
        self.query, self.key, self.value = (nn.Linear(dim, dim, bias=False) for _ in range(3))
        self.rows = nn.Parameter(head_dim**-0.5 * torch.randn(window, head_dim // 2))
        self.columns = nn.Parameter(head_dim**-0.5 * torch.randn(window, head_dim // 2))

    def forward(self, x):
        weights = self.scores(x).softmax(-1)  # (b, heads, n, 1, s), one query a group
        out = weights @ self.neighbors(self.value(x))  # (b, heads, n, 1, d)
        return rearrange(out, "b heads (h w) 1 d -> b h w (heads d)", h=x.shape[1])

    def scores(self, x):
        query = rearrange(self.query(x), "b h w (heads d) -> b heads (h w) 1 d", d=self.head_dim)
        scores = query @ self.neighbors(self.key(x)).mT + query @ self.offsets().T
        return scores * self.head_dim**-0.5  # (b, heads, n, 1, s)

    def offsets(self):
        """What every place in the window is known by, for all heads: (s, d)."""
        rows = self.rows.repeat_interleave(self.window, 0)  # (s, d / 2)
        return torch.cat([rows, self.columns.repeat(self.window, 1)], 1)

    def neighbors(self, x):
        """Gather the keys, or values, of every token: (b, h, w, c) -> (b, heads, n, s, d)."""
        maps = rearrange(x, "b h w (heads d) -> (b heads) h w d", d=self.head_dim)
        windows = sliding_windows(maps, self.window)
        return rearrange(windows, "(b heads) n s d -> b heads n s d", b=len(x))


class StandAloneAttention(GroupAttention):
    """A transformer layer whose attention slides over the map as a convolution does.

    x <- x + Attention(LN(x)), then x <- x + FFN(LN(x)); the paper has it in a ResNet's bottlenecks.
    Recorded weights of a token near the border sum to less than 1 over the tokens that it reads:
    padding has the rest. Shapes: (b, c, h, w) -> (b, c, h, w), of any sides.
    """

    def __init__(self, dim, window, expansion=4, drop_path=0.0, activation=gelu):
        super().__init__(dim, window, expansion, drop_path, activation)
        self.divisor = 1  # the map is padded
        self.attention = SlidingAttention(dim, window)

    def attend(self, x):
        return self.attention(x)

    def scores(self, x):
        scores = self.attention.scores(self.attention_norm(x.permute(0, 2, 3, 1)))
        return scores, torch.zeros_like(scores[0])  # that of a position depends on the query

    def groups(self, numbers, extra):
        keys = sliding_windows(numbers, self.window, outside=-2)  # (1, n, s, 1), -2 is padding
        return numbers.view(-1, 1), keys[0, :, :, 0]


# For 32 x 32: depths and windows are those of "nat", to compare padding with clamping.
PARTS = 3 * ((StandAloneAttention,),)
SASA = replace(CONFIGS["compact"], depths=(2, 4, 2), window=(7, 7, 3), parts=PARTS)

register(StandAloneAttention=StandAloneAttention)
CONFIGS["sasa"] = SASA
