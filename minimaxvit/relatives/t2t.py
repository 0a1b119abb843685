"""T2T-ViT: patches that overlap, and tokens that attend before they are merged into coarser ones.

ViT cuts an image once, so what lies across a cut is parted from the start. Here each token is made
of neighbors that it shares with the next, and a small transformer looks around between two such
soft splits. MaxViT overlaps in its stem and its MBConvs, at no quadratic cost.
Source: Yuan et al. 2021, "Tokens-to-Token ViT: Training Vision Transformers from Scratch on
ImageNet", section 3.1.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from ..configs import CONFIGS
from ..layers import FeedForward
from ..steps import Add, Append, Attend, Part, Taps
from ..weights import register
from .vit import VIT, GlobalAttention


def soft_split(stride):
    """Lay each 3 x 3 tokens side by side, overlapping by 3 - stride: (b, c, h, w) -> (b, 9c, n)."""
    return nn.Unfold(3, stride=stride, padding=1)


class TokensToToken(Part):
    """Make a map coarser by a soft split, and let the new, wide tokens attend to one another.

    x <- split(x), v <- V LN(x), x <- v + O softmax(q k^T / sqrt(9c)) v, then x <- x + FFN(LN(x)).
    One head; the shortcut is v, as it is narrower than x already, and the scale is of the width
    that comes in. Shapes: (b, c, h, w) -> (b, c', ceil(h / stride), ceil(w / stride)). Source:
    section 3.1; shortcut, widths and scale are the official code's.
    """

    def __init__(self, in_dim, dim, stride, activation=F.gelu):
        super().__init__()
        self.stride, wide = stride, 9 * in_dim
        self.split = soft_split(stride)
        self.attention_norm = nn.LayerNorm(wide)
        self.query, self.key, self.value = (nn.Linear(wide, dim, bias=False) for _ in range(3))
        self.output = nn.Linear(dim, dim)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim, 1, activation)

    def forward(self, x):
        value, attended = self.attend(x)
        y = value + attended
        y = y + self.feed_forward(self.feed_forward_norm(y))
        return rearrange(y, "b (h w) c -> b c h w", h=-(-x.shape[2] // self.stride))

    def attend(self, x):
        y = self.attention_norm(self.split(x).mT)  # (b, t, 9c)
        value, weights = self.value(y), self.compare(y).softmax(-1)
        return value, self.output(weights @ value)  # (b, t, c') each

    def compare(self, y):
        return self.query(y) @ self.key(y).mT * y.shape[2] ** -0.5

    def scores(self, x):
        scores = self.compare(self.attention_norm(self.split(x).mT))[:, None, None]
        return scores, torch.zeros_like(scores[0])  # (b, heads, n, t, t), one head, one group

    def steps(self):
        return Taps(self.split), Add(((), (Attend(self.groups),)))

    def groups(self, numbers, extra):
        return numbers.view(1, -1), numbers.view(1, -1)


class TokensToTokenStem(TokensToToken):
    """The first step, from pixels: (b, in_channels, h, w) -> (b, c, h / stride, w / stride)."""

    def __init__(self, stem_dim, stem_stride, activation=F.gelu, in_channels=3):
        super().__init__(in_channels, stem_dim, stem_stride, activation)


class SplitEmbedding(Part):
    """The last step: split softly, project, add positions, and begin a class token, as ViT does.

    Positions are sines and cosines of a token's number, the class token's being 0; so any map fits.
    Shapes: (b, c, h, w) -> (b, c', h / stride, w / stride) and (b, 1, c').
    """

    def __init__(self, in_dim, dim, stride):
        super().__init__()
        self.stride, self.split = stride, soft_split(stride)
        self.project = nn.Linear(9 * in_dim, dim)
        self.class_token = nn.Parameter(torch.empty(1, 1, dim).normal_(std=0.02))

    def forward(self, x):
        return self.run(x)[0]

    def run(self, x):
        y = self.project(self.split(x).mT)  # (b, t, c')
        y = torch.cat([self.class_token.expand(len(y), -1, -1), y], 1)
        class_token, y = (y + sinusoids(*y.shape[1:]).to(y)).split([1, y.shape[1] - 1], 1)
        return rearrange(y, "b (h w) c -> b c h w", h=-(-x.shape[2] // self.stride)), class_token

    def steps(self):
        return Taps(self.split), Append(1)


def sinusoids(t, dim):
    """sin and cos, by turns, of each number / 10000^(2 floor(i / 2) / dim): (t, dim)."""
    rates = 10000 ** (-2 * (torch.arange(dim) // 2) / dim)
    angles = torch.arange(t)[:, None] * rates
    return torch.where(torch.arange(dim) % 2 == 0, angles.sin(), angles.cos())


# For 32 x 32: soft splits make 256 tokens of 27 numbers, then 64, and 64 again, as many as in ViT.
T2T = replace(
    VIT,
    dims=(64, 128, 128),
    depths=(1, 1, 6),
    stem_dim=64,
    stem_stride=2,
    strides=(2, 1, 1),
    parts=((TokensToToken,), (SplitEmbedding,), (GlobalAttention,)),
    stem=TokensToTokenStem,
)

register(TokensToToken=TokensToToken, TokensToTokenStem=TokensToTokenStem)
register(SplitEmbedding=SplitEmbedding)
CONFIGS["t2t"] = T2T
