"""ConvNeXt: a convolutional network laid out as a transformer, with a 7x7 kernel for attention.

Each block mixes space first and channels after, as attention and its feed-forward do, with one norm
and one activation. MBConv, half of MaxViT's local part, convolves 3x3 inside the wide layer instead
and weights the channels; ConvNeXt convolves the narrow map, where a wide kernel is cheap. Nothing
depends on the whole map, so what a token sees grows by three tokens a side with each block.
Source: Liu et al. 2022, "A ConvNet for the 2020s".
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from ..configs import CONFIGS
from ..layers import FeedForward, StochasticDepth
from ..steps import Add, Part, Taps
from ..weights import register

EPS = 1e-6  # of every norm in the official code; PyTorch's own is 1e-5


class ConvNeXtBlock(Part):
    """Mix 7x7 tokens channel by channel, then the channels of each token, with one shortcut.

    x <- x + g W2 GELU(W1 LN(DW7 x)). The scale g of each channel starts at 1 here: the paper's 1e-6
    begins with the identity, which a short training would hardly leave.
    Shapes: (b, c, h, w) -> (b, c, h, w), of any size. Source: section 2.6, figure 4, appendix A.1.
    """

    def __init__(self, dim, expansion=4, drop_path=0.0, activation=F.gelu):
        super().__init__()
        self.depthwise = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=EPS)
        self.feed_forward = FeedForward(dim, expansion, activation)
        self.scale = nn.Parameter(torch.ones(dim))
        self.drop = StochasticDepth(drop_path)

    def forward(self, x):
        y = self.depthwise(x).permute(0, 2, 3, 1)  # (b, h, w, c)
        y = self.scale * self.feed_forward(self.norm(y))
        return x + self.drop(y.permute(0, 3, 1, 2))

    def steps(self):
        return (Add(((), (Taps(self.depthwise),))),)


class NormedDownsample(Part):
    """Make a map coarser by a convolution of patches; a norm before it keeps training stable.

    Conv(LN(x)), with a kernel as wide as the stride. Shapes: (b, c, h, w) -> (b, c', h / stride,
    w / stride); ValueError from the network if patches do not divide h and w. Source: section 2.6.
    """

    def __init__(self, in_dim, dim, stride):
        super().__init__()
        self.stride = self.divisor = stride
        self.norm = nn.LayerNorm(in_dim, eps=EPS)
        self.project = nn.Conv2d(in_dim, dim, stride, stride)

    def forward(self, x):
        return self.project(self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))

    def steps(self):
        return (Taps(self.project),)


# For 32 x 32. Most blocks stand last, where the paper has most in its third stage of four.
CONVNEXT = replace(
    CONFIGS["compact"],
    depths=(3, 3, 4),
    window=None,
    parts=3 * ((ConvNeXtBlock,),),
    downsample=NormedDownsample,
)

register(ConvNeXtBlock=ConvNeXtBlock, NormedDownsample=NormedDownsample)
CONFIGS["convnext"] = CONVNEXT
