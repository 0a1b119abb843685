"""MLP-Mixer: attention's place is taken by a feed-forward over tokens, whose weights are learned.

Every token reads every other, as in ViT, but through weights that are the same for all images and
all channels. So there is no softmax and no position to add, and the number of tokens is fixed for
good; MaxViT computes its weights from the image, and takes maps of many sizes.
Source: Tolstikhin et al. 2021, "MLP-Mixer: An all-MLP Architecture for Vision".
"""

from dataclasses import replace

import torch.nn.functional as F
from einops import rearrange
from torch import nn

from ..configs import CONFIGS
from ..layers import FeedForward, StochasticDepth
from ..network import Head
from ..steps import Add, Attend, Part, Taps
from ..weights import register
from .vit import EPS, VIT


class PatchProjection(Part):
    """Project each patch to a token: (b, in_channels, h, w) -> (b, c, h / stride, w / stride).

    ValueError from the network if patches do not divide the image. Source: section 2.
    """

    def __init__(self, stem_dim, stem_stride, in_channels=3):
        super().__init__()
        self.stride = self.divisor = stem_stride
        self.conv1 = nn.Conv2d(in_channels, stem_dim, stem_stride, stem_stride)

    def forward(self, images):
        return self.conv1(images)

    def steps(self):
        return (Taps(self.conv1),)


class MixerLayer(Part):
    """Mix all tokens channel by channel, then all channels token by token.

    x_i <- x_i + W2 GELU(W1 LN(x)_i) for the tokens' values x_i in each channel i, all channels by
    the same W1 and W2; then x <- x + FFN(LN(x)). Between W1 and W2 there are half as many numbers
    as there are channels, so the cost is linear in the tokens. `window` is the side of the one map
    that fits.
    Shapes: (b, c, h, w) -> (b, c, h, w). Source: section 2, equation 1, table 1.
    """

    why_no_weights = (
        "It mixes tokens by weights that are learned once and are the same for all images: "
        "there are no attention weights to show."
    )

    def __init__(self, dim, window, expansion=4, drop_path=0.0, activation=F.gelu):
        super().__init__()
        self.window, self.activation = window, activation
        self.token_norm = nn.LayerNorm(dim, eps=EPS)
        self.expand_tokens = nn.Linear(window**2, dim // 2)
        self.shrink_tokens = nn.Linear(dim // 2, window**2)
        self.feed_forward_norm = nn.LayerNorm(dim, eps=EPS)
        self.feed_forward = FeedForward(dim, expansion, activation)
        self.drop = StochasticDepth(drop_path)

    def forward(self, x):
        h = x.shape[2]
        x = rearrange(x, "b c h w -> b 1 (h w) c")  # (b, 1, t, c): one group of all tokens
        x = x + self.drop(self.mix_tokens(self.token_norm(x).mT).mT)
        x = x + self.drop(self.feed_forward(self.feed_forward_norm(x)))
        return rearrange(x, "b 1 (h w) c -> b c h w", h=h)

    def mix_tokens(self, x):
        return self.shrink_tokens(self.activation(self.expand_tokens(x)))  # (b, 1, c, t)

    def steps(self):
        return (Add(((), (Attend(self.groups),))),)

    def groups(self, numbers, extra):
        return numbers.view(1, -1), numbers.view(1, -1)  # (1, t) each

    def misfit(self, side):
        if side != self.window:
            return f"is not the {self.window} x {self.window} that its weights are learned for"

    def extra_repr(self):
        return f"window={self.window}"


# For 32 x 32: 64 patches as in the Vision Transformer, and nearly its size. The head is MaxViT's.
MIXER = replace(
    VIT, depths=(10,), window=8, parts=((MixerLayer,),), stem=PatchProjection, head=Head
)

register(PatchProjection=PatchProjection, MixerLayer=MixerLayer)
CONFIGS["mixer"] = MIXER
