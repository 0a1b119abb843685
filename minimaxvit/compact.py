"""What the compact network, for pictures of 32 x 32, has in the place of stem and MBConv, and why.

MaxViT's stem and first MBConv quarter the picture, which leaves 8 x 8 of 32 x 32, and a depthwise
convolution does little arithmetic on much memory. Here the first two convolutions see the whole
picture, and all are dense. The stage with attention is narrow; the last is wide, as weights cost
little time on a map of 4 x 4. What each is worth: the rows with MBConv and with other widths of
benchmarks/equal_time.py. GELU is the exact one, which CPUs compute much faster than the tanh form.
"""

import torch.nn.functional as F
from torch import nn

from .block import BlockAttention, GridAttention
from .mbconv import BatchNorm, Conv3x3


class FullStem(nn.Module):
    """Make first features and leave the picture its size: (b, 3, h, w) -> (b, c, h, w)."""

    stride = 1

    def __init__(self, channels):
        super().__init__()
        self.conv1 = Conv3x3(3, channels)
        self.norm = BatchNorm(channels)

    def forward(self, images):
        return F.gelu(self.norm(self.conv1(images)))


class PooledConvs(nn.Module):
    """Look for patterns, keep the strongest of every four, and look for patterns among those.

    It takes the arguments of MBConv, so as to stand in its place, and needs neither `expansion` nor
    `drop_rate`: there is no shortcut. Shapes: (b, c, h, w) -> (b, c', ceil(h / stride), ceil(w /
    stride)). Source: Jordan 2024, "94 % on CIFAR-10 in 3.29 seconds", section 3.1.
    """

    def __init__(self, in_channels, channels, stride=1, expansion=None, drop_rate=None):
        super().__init__()
        self.stride = stride
        self.conv1 = Conv3x3(in_channels, channels, bias=False)
        self.norm1 = BatchNorm(channels)
        self.conv2 = Conv3x3(channels, channels, bias=False)
        self.norm2 = BatchNorm(channels)

    def forward(self, x):
        y = F.max_pool2d(self.conv1(x), self.stride, ceil_mode=True)  # an odd side keeps its end
        y = self.conv2(F.gelu(self.norm1(y)))  # (b, c', h', w')
        return F.gelu(self.norm2(y))


# Attention waits for the 8 x 8 map, where block and grid differ; 4 x 4 would be a single window.
COMPACT_PARTS = ((PooledConvs,), (PooledConvs, BlockAttention, GridAttention), (PooledConvs,))
