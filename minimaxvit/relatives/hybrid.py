"""A hybrid for CIFAR-10 on a CPU: dense pooled convolutions, and one pair of block and grid.

Dense convolutions do much arithmetic on little memory, which suits a CPU better than MBConv's
depthwise ones. Attention waits for the 8 x 8 map, where block and grid differ; on the 4 x 4 after
it they would be the same window. That stage is narrow, and the last is wide, as weights cost little
time on a map so small. All GELUs of the convolutions are exact, which CPUs compute in half the time
of the tanh form.
"""

from dataclasses import replace

import torch.nn.functional as F
from torch import nn

from ..block import MAX_SA
from ..configs import CONFIGS
from ..layers import BatchNorm, Conv3x3, gelu
from ..network import MaxViTConfig
from ..steps import Part, Taps
from ..weights import register


class ConvStem(Part):
    """Make first features: (b, in_channels, h, w) -> (b, c, ceil(h / stride), ceil(w / stride))."""

    def __init__(self, stem_dim, stem_stride, in_channels=3):
        super().__init__()
        self.stride = stem_stride
        self.conv1 = Conv3x3(in_channels, stem_dim, stem_stride)
        self.norm = BatchNorm(stem_dim)

    def forward(self, images):
        return F.gelu(self.norm(self.conv1(images)))

    def steps(self):
        return (Taps(self.conv1),)


class PooledConvs(Part):
    """Look for patterns, keep the strongest of every four, and look for patterns among those.

    The pool strides, so the first convolution sees the fine map; there is no shortcut.
    Shapes: (b, c, h, w) -> (b, c', ceil(h / stride), ceil(w / stride)).
    Source: Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", section 3.1.
    """

    def __init__(self, in_dim, dim, stride=1):
        super().__init__()
        self.stride = stride  # ceil_mode: the last row of an odd side stands alone
        self.conv1 = Conv3x3(in_dim, dim, bias=False)
        self.pool = nn.MaxPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
        self.norm1 = BatchNorm(dim)
        self.conv2 = Conv3x3(dim, dim, bias=False)
        self.norm2 = BatchNorm(dim)

    def forward(self, x):
        y = F.gelu(self.norm1(self.pool(self.conv1(x))))  # (b, c', h', w')
        return F.gelu(self.norm2(self.conv2(y)))

    def steps(self):
        return Taps(self.conv1), Taps(self.pool), Taps(self.conv2)


HYBRID = MaxViTConfig(
    dims=(64, 96, 288),
    depths=(1, 1, 1),
    stem_dim=24,
    stem_stride=1,
    window=4,
    parts=((PooledConvs,), (PooledConvs, *MAX_SA), (PooledConvs,)),
    stem=ConvStem,
    expansion=1,
    activation=gelu,  # of attention's feed-forward alone
    num_classes=10,
    image_size=32,
)
CONVOLUTIONS = replace(
    HYBRID, parts=3 * ((PooledConvs,),), window=None
)  # the hybrid without its attention

register(ConvStem=ConvStem, PooledConvs=PooledConvs)
CONFIGS["hybrid"] = HYBRID
CONFIGS["convolutions"] = CONVOLUTIONS
