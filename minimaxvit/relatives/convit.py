"""ConViT: attention that begins as a convolution and may forget that, head by head.

Each head mixes what content asks for with a look at a fixed place near the token, and a learned
gate sets how much of each. MaxViT wants the same two things, to look near and to look anywhere, but
has a part for each: a convolution that stays one, and attention that begins without preference.
Source: d'Ascoli et al. 2021, "ConViT: Improving Vision Transformers with Soft Convolutional
Inductive Biases", section 3, "Gated positional self-attention".
"""

from dataclasses import replace
from math import isqrt

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from ..configs import CONFIGS
from ..steps import Part
from ..weights import register
from .vit import VIT, GlobalAttention, MultiHeadAttention


def offsets(h, w, device=None):
    """How far key lies from query: (t, t, 3), tokens row by row: down, right, distance squared."""
    sides = (torch.arange(side, device=device) for side in (h, w))
    row, column = torch.cartesian_prod(*sides).T  # (t,) each
    down, right = (each[None] - each[:, None] for each in (row, column))  # (t, t): key minus query
    return torch.stack([down, right, down**2 + right**2], -1)


class GatedMultiHeadAttention(MultiHeadAttention):
    """Let each head choose between content and position.

    (1 - g) softmax(q k^T / sqrt(d)) + g softmax(v . r), g = sigmoid(gate), r = `offsets`. At first
    v = (2 a, 2 b, -1), so v . r is largest at the offset (a, b): the heads look at the k x k places
    around the token, like the taps of a convolution, and g = 0.73. The official code divides by
    sqrt(d), the paper's formula does not. Shapes: (b, 1, t, c) -> (b, 1, t, c), t = h * w.
    ValueError if there are not k * k heads.
    """

    def __init__(self, dim, head_dim=32):
        super().__init__(dim, head_dim)
        heads, side = dim // head_dim, isqrt(dim // head_dim)
        if side**2 != heads:
            raise ValueError(f"{heads} heads do not form a square: 1, 4, 9, 16, ... do")
        places = torch.arange(side) - (side - 1) / 2
        centers = torch.cartesian_prod(places, places)  # (heads, 2)
        self.position = nn.Parameter(torch.cat([2 * centers, -torch.ones(heads, 1)], 1))
        self.gate = nn.Parameter(torch.ones(heads))

    def forward(self, x, h, w):
        out = self.weights(x, h, w) @ self.split_heads(self.value(x))
        return self.output(rearrange(out, "b heads n t d -> b n t (heads d)"))

    def weights(self, x, h, w):
        """Mix two attentions, whose rows each sum to 1: (b, heads, 1, t, t)."""
        by_content = self.scores(x).softmax(-1)
        by_position = offsets(h, w, x.device).to(self.position) @ self.position.T  # (t, t, heads)
        by_position = rearrange(by_position, "t s heads -> heads 1 t s").softmax(-1)
        gate = self.gate.sigmoid()[:, None, None, None]
        return (1 - gate) * by_content + gate * by_position


class GatedPositionalAttention(GlobalAttention):
    """A transformer layer over the whole map, in which heads begin as the taps of a convolution.

    x <- x + Attention(LN(x)), then x <- x + FFN(LN(x)). Extra tokens pass it by, as they have no
    position: in the paper, too, a class token joins only after these layers.
    Shapes: (b, c, h, w) -> (b, c, h, w), of any sides.
    """

    run = Part.run

    def __init__(self, dim, expansion=4, drop_path=0.0, activation=F.gelu):
        super().__init__(dim, expansion, drop_path, activation)
        self.attention = GatedMultiHeadAttention(dim, self.head_dim)

    def initialize(self):
        nn.init.eye_(self.attention.value.weight)  # a head begins by passing on what it looks at

    def forward(self, x):
        h, w = x.shape[2:]
        y = self.join(x)  # (b, 1, t, c)
        y = y + self.drop(self.attention(self.attention_norm(y), h, w))
        y = y + self.drop(self.feed_forward(self.feed_forward_norm(y)))
        return rearrange(y[:, 0], "b (h w) c -> b c h w", h=h)

    def scores(self, x):
        """Logarithms of the weights: no scores make a mixture of two softmaxes as one softmax."""
        weights = self.attention.weights(self.attention_norm(self.join(x)), *x.shape[2:])
        return weights.log(), torch.zeros_like(weights[0])


# For 32 x 32: the ViT, whose first four layers are gated. The official networks have ten of twelve.
PARTS = (GatedPositionalAttention,), (GlobalAttention,)
CONVIT = replace(VIT, dims=(128, 128), depths=(4, 2), parts=PARTS)

register(GatedPositionalAttention=GatedPositionalAttention)
CONFIGS["convit"] = CONVIT
