"""XCiT: attention among channels, weighted by how they vary together over the whole map.

Each token is multiplied by a matrix that the map decides, so the cost is linear in the tokens, and
any map fits. No token reads another by it; convolutions do, nearby, and at last a class token.
MaxViT's squeeze-excitation weights channels by the map, too, but each for itself and by its mean.
Source: El-Nouby et al. 2021, "XCiT: Cross-Covariance Image Transformers".
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from ..configs import CONFIGS
from ..layers import FeedForward, StochasticDepth
from ..steps import Add, Gate, Part, Taps
from ..weights import register
from .cait import ClassAttention, ClassTokenStem
from .vit import EPS, VIT


class CrossCovarianceAttention(nn.Module):
    """Let each channel gather from those of its head, by how they vary together over the tokens.

    softmax(temperature * q k^T) v, where q, k and v are (d, t), and each row of q and of k has
    length 1. The paper divides by its temperature. Shapes: (b, t, c) -> (b, t, c). ValueError if
    `head_dim` does not divide `dim`. Source: section 3.2, equation 3.
    """

    def __init__(self, dim, head_dim=32):
        super().__init__()
        if dim % head_dim:
            raise ValueError(f"{dim} channels do not divide into heads of dimension {head_dim}")
        self.head_dim = head_dim
        self.query, self.key, self.value = (nn.Linear(dim, dim) for _ in range(3))
        self.output = nn.Linear(dim, dim)
        self.temperature = nn.Parameter(torch.ones(dim // head_dim, 1, 1))

    def forward(self, x):
        out = self.channel_weights(x) @ self.split_heads(self.value(x))  # (b, heads, d, t)
        return self.output(rearrange(out, "b heads d t -> b t (heads d)"))

    def channel_weights(self, x):
        query, key = (F.normalize(self.split_heads(f(x)), dim=-1) for f in (self.query, self.key))
        return (self.temperature * (query @ key.mT)).softmax(-1)  # (b, heads, d, d)

    def split_heads(self, x):
        return rearrange(x, "b t (heads d) -> b heads d t", d=self.head_dim)


class XCiTLayer(Part):
    """Mix channels by the whole map, then neighbors channel by channel, then each token's channels.

    x <- x + g1 XCA(LN(x)); x <- x + g2 DW3(BN(GELU(DW3(LN(x))))); x <- x + g3 FFN(LN(x)), with
    scales g per channel that start at 1. Others enter a token's XCA by sums over the map alone, so
    for places it is a gate, as squeeze-excitation is. Shapes: (b, c, h, w) -> (b, c, h, w), of any
    size. ValueError if heads of dimension 32 do not divide c. Source: section 3.3, figure 1.
    """

    why_no_weights = "It mixes channels, not tokens: there is no weight between two tokens to show."

    def __init__(self, dim, expansion=4, drop_path=0.0, activation=F.gelu):
        super().__init__()
        self.activation = activation
        self.norms = nn.ModuleList(nn.LayerNorm(dim, eps=EPS) for _ in range(3))
        self.scales = nn.Parameter(torch.ones(3, dim))
        self.attention = CrossCovarianceAttention(dim)
        self.conv1, self.conv2 = (nn.Conv2d(dim, dim, 3, padding=1, groups=dim) for _ in range(2))
        self.conv_norm = nn.BatchNorm2d(dim)
        self.feed_forward = FeedForward(dim, expansion, activation)
        self.drop = StochasticDepth(drop_path)

    def forward(self, x):
        x = x.permute(0, 2, 3, 1)  # (b, h, w, c)
        branches = (self.attend, self.interact, self.feed_forward)
        for norm, scale, branch in zip(self.norms, self.scales, branches, strict=True):
            x = x + self.drop(scale * branch(norm(x)))
        return x.permute(0, 3, 1, 2)

    def attend(self, x):
        return self.attention(x.flatten(1, 2)).view(x.shape)

    def interact(self, x):
        y = self.activation(self.conv1(x.permute(0, 3, 1, 2)))  # (b, c, h, w)
        return self.conv2(self.conv_norm(y)).permute(0, 2, 3, 1)

    def steps(self):
        return Add(((), (Gate(),))), Add(((), (Taps(self.conv1), Taps(self.conv2))))


# For 32 x 32: patches and widths of the Vision Transformer; as in the paper, two class attentions.
PARTS = ((XCiTLayer,), (ClassAttention,))
XCIT = replace(VIT, dims=(128, 128), depths=(5, 2), parts=PARTS, stem=ClassTokenStem)

register(XCiTLayer=XCiTLayer)
CONFIGS["xcit"] = XCIT
