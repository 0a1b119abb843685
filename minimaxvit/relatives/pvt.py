"""The Pyramid Vision Transformer: every token attends to the whole map, but to a summary of it.

A strided convolution makes one key and one value of each window, so that ViT's global attention
becomes cheap enough for fine maps. MaxViT also sees the whole map at once, but its grid reads
single tokens, and its cost is linear: here it is quadratic, divided by the area of a window.
Source: Wang et al. 2021, "Pyramid Vision Transformer", section 3.3.
"""

from dataclasses import replace

import torch
from einops import rearrange
from torch import nn

from ..block import GroupAttention
from ..configs import CONFIGS
from ..layers import gelu
from ..steps import Add, Attend, Taps
from ..weights import register
from .cpe import ConditionalPositions
from .vit import MultiHeadAttention


class ReducedAttention(MultiHeadAttention):
    """Let each token gather from one summary per window, by content alone.

    softmax(q k^T / sqrt(d)) v, with q of the tokens, and k and v of LN(Conv(tokens)), where Conv
    strides by its own width. Shapes: (b, h, w, c) -> (b, h, w, c). Source: equations 1 to 4.
    """

    def __init__(self, dim, window, head_dim=32):
        super().__init__(dim, head_dim)
        self.reduce = nn.Conv2d(dim, dim, window, window) if window > 1 else nn.Identity()
        self.reduce_norm = nn.LayerNorm(dim) if window > 1 else nn.Identity()

    def forward(self, x):
        summaries = self.summarize(x)
        weights = self.match(x, summaries).softmax(-1)  # (b, heads, 1, t, s), a row per query
        out = weights @ self.split_heads(self.value(summaries))
        return self.output(rearrange(out, "b heads 1 (h w) d -> b h w (heads d)", h=x.shape[1]))

    def summarize(self, x):
        reduced = self.reduce(x.permute(0, 3, 1, 2))  # (b, c, h / window, w / window)
        return self.reduce_norm(rearrange(reduced, "b c h w -> b 1 (h w) c"))  # (b, 1, s, c)

    def match(self, x, summaries):
        query = self.split_heads(self.query(rearrange(x, "b h w c -> b 1 (h w) c")))
        return query @ self.split_heads(self.key(summaries)).mT * self.head_dim**-0.5

    def scores(self, x):
        return self.match(x, self.summarize(x))


class SpatialReductionAttention(GroupAttention):
    """A transformer layer with one group, the whole map, and one key per window of it.

    x <- x + Attention(LN(x)), then x <- x + FFN(LN(x)). With window 1 it is ViT's.
    Shapes: (b, c, h, w) -> (b, c, h, w). ValueError if 32, a head's width, does not divide `dim`.
    """

    def __init__(self, dim, window, expansion=4, drop_path=0.0, activation=gelu):
        super().__init__(dim, window, expansion, drop_path, activation)
        self.attention = ReducedAttention(dim, window)

    def attend(self, x):
        return self.attention(x)

    def scores(self, x):
        scores = self.attention.scores(self.attention_norm(x.permute(0, 2, 3, 1)))
        return scores, torch.zeros_like(scores[0])  # no bias

    def steps(self):
        return (Add(((), (Taps(self.attention.reduce), Attend(self.groups)))),)

    def groups(self, numbers, extra):
        tokens = torch.arange(numbers.numel() * self.window**2)  # of the map that `reduce` gets
        return tokens[None], numbers.view(1, -1)


# The maps are 16, 8 and 4 tokens wide, and all are summarized by 4 x 4 keys. PVT learns a position
# per token at the start of each stage; here a convolution finds it, for maps of any size.
LAYERS = (ConditionalPositions, SpatialReductionAttention, SpatialReductionAttention)
PVT = replace(CONFIGS["compact"], window=(4, 2, 1), parts=3 * (LAYERS,))

register(SpatialReductionAttention=SpatialReductionAttention)
CONFIGS["pvt"] = PVT
