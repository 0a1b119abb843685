"""From a ResNet's block to ConvNeXt's, one change a step, in networks that are alike otherwise.

The paper changes a large ResNet piece by piece and measures after each change. Here only the block
changes: stem, downsampling, widths and depths are ConvNeXt's from the start. So what else differs
between two steps are parameters and multiply-adds, and how far a block reads.
Source: Liu et al. 2022, "A ConvNet for the 2020s", section 2 and figure 2.
"""

from dataclasses import replace

import torch.nn.functional as F
from torch import nn

from ..layers import BatchNorm, FeedForward, StochasticDepth
from ..relatives import CONVNEXT, ConvNeXtBlock, ResidualUnit
from ..steps import Add, Part, Taps
from ..weights import register


class ResNetBlock(ResidualUnit):
    """Be a ResNet's unit that leaves coarser maps and more channels to a downsampling before it.

    x <- x + C2 ReLU(BN(C1 ReLU(BN(x)))), C of 3 x 3 tokens. Shapes: (b, c, h, w) -> (b, c, h, w),
    of any size.
    """

    def __init__(self, dim, drop_path=0.0):
        super().__init__(dim, dim, drop_path=drop_path)


class PreActivated(Part):
    """Norm, activate and convolve, three times over, and add the shortcut.

    The first convolution takes `dim` channels and the last returns as many; one of the three looks
    at neighbors. Shapes: (b, c, h, w) -> (b, c, h, w), of any size.
    """

    def __init__(self, convolutions, drop_path):
        super().__init__()
        self.norms = nn.ModuleList(BatchNorm(each.in_channels) for each in convolutions)
        self.convolutions = nn.ModuleList(convolutions)
        self.drop = StochasticDepth(drop_path)

    def forward(self, x):
        y = x
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            y = convolution(F.relu(norm(y)))
        return x + self.drop(y)

    def steps(self):
        return (Add(((), tuple(map(Taps, self.convolutions)))),)


class DepthwiseBlock(PreActivated):
    """Look at neighbors channel by channel, and make up for it by more channels inside.

    x <- x + W2 ReLU(BN(DW3 ReLU(BN(W1 ReLU(BN(x)))))): MBConv's order, without squeeze-excitation.
    A depthwise convolution mixes no channels, so W1 and W2 do, which a ResNet's small block lacks.
    """

    def __init__(self, dim, expansion=4, drop_path=0.0):
        inner = expansion * dim
        super().__init__([mix(dim, inner), depthwise(inner, 3), mix(inner, dim)], drop_path)


class DepthwiseFirst(PreActivated):
    """Look at neighbors first, while there are few channels; mix channels after, as attention does.

    x <- x + W2 ReLU(BN(W1 ReLU(BN(DW3 ReLU(BN(x)))))).
    """

    kernel = 3

    def __init__(self, dim, expansion=4, drop_path=0.0):
        inner = expansion * dim
        super().__init__([depthwise(dim, self.kernel), mix(dim, inner), mix(inner, dim)], drop_path)


class LargeKernel(DepthwiseFirst):
    """Look as far as a window of attention does: as above, with DW7."""

    kernel = 7


class OneNorm(Part):
    """Norm once and activate once, as a feed-forward of a transformer does.

    x <- x + W2 GELU(W1 BN(DW7 x)). What is left to ConvNeXt's block are its layer norm and its
    scales of channels. Shapes: (b, c, h, w) -> (b, c, h, w), of any size.
    """

    def __init__(self, dim, expansion=4, drop_path=0.0, activation=F.gelu):
        super().__init__()
        self.depthwise = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = BatchNorm(dim)
        self.feed_forward = FeedForward(dim, expansion, activation)
        self.drop = StochasticDepth(drop_path)

    def forward(self, x):
        y = self.norm(self.depthwise(x)).permute(0, 2, 3, 1)  # (b, h, w, c)
        return x + self.drop(self.feed_forward(y).permute(0, 3, 1, 2))

    def steps(self):
        return (Add(((), (Taps(self.depthwise),))),)


def mix(dim, out_dim):
    """Mix the channels of each token."""
    return nn.Conv2d(dim, out_dim, 1, bias=False)


def depthwise(dim, kernel):
    return nn.Conv2d(dim, dim, kernel, padding=kernel // 2, groups=dim, bias=False)


# Each step's block. Inside, the paper's blocks are four times as wide; our ConvNeXt's are twice.
BLOCKS = {
    "ResNet block": ResNetBlock,
    "depthwise, wider inside": DepthwiseBlock,
    "depthwise first": DepthwiseFirst,
    "7 x 7 kernel": LargeKernel,
    "one GELU, one norm": OneNorm,
    "ConvNeXt block": ConvNeXtBlock,
}
NETWORKS = {
    name: replace(CONVNEXT, parts=3 * ((block,),), expansion=4) for name, block in BLOCKS.items()
}

register(
    ResNetBlock=ResNetBlock,
    DepthwiseBlock=DepthwiseBlock,
    DepthwiseFirst=DepthwiseFirst,
    LargeKernel=LargeKernel,
    OneNorm=OneNorm,
)
