"""What the compact network, for pictures of 32 x 32, puts between MBConv and attention, and why.

A depthwise convolution does little arithmetic on much memory; a dense one keeps a processor busy on
maps as small as 8 x 8 and 4 x 4. What it is worth: `no Residual` in benchmarks/equal_time.py.
"""

from torch import nn

from .block import BlockAttention, GridAttention
from .mbconv import BatchNorm, Conv3x3, MBConv, StochasticDepth, gelu


class Residual(nn.Module):
    """Mix neighbours and channels at once, twice, and add the shortcut.

    It takes the arguments of an attention layer, so as to stand beside one, and needs neither
    `window` nor `expansion`. Shapes: (b, c, h, w) -> (b, c, h, w). Source: He et al. 2016,
    "Identity Mappings in Deep Residual Networks", figure 1 (b), with GELU.
    """

    def __init__(self, channels, window=None, expansion=None, drop_rate=0.0):
        super().__init__()
        self.norm1 = BatchNorm(channels)
        self.conv1 = Conv3x3(channels, channels, bias=False)
        self.norm2 = BatchNorm(channels)
        self.conv2 = Conv3x3(channels, channels, bias=False)
        self.drop = StochasticDepth(drop_rate)

    def forward(self, x):
        y = self.conv1(gelu(self.norm1(x)))  # (b, c, h, w)
        y = self.conv2(gelu(self.norm2(y)))  # (b, c, h, w)
        return x + self.drop(y)


# On the 8 x 8 map of stage 1 block and grid differ; the 4 x 4 map of stage 2 is a single window.
COMPACT_PARTS = (
    (MBConv, Residual, BlockAttention, GridAttention),
    (MBConv, Residual, BlockAttention),
)
