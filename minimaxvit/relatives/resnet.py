"""The pre-activation ResNet: 3x3 convolutions alone, with a clean shortcut around each pair.

A map is seen as far as its convolutions add up, and no farther; nothing attends. MBConv kept its
shape (norm first, nothing after the sum) and made it cheaper.
Source: He et al. 2016, "Identity Mappings in Deep Residual Networks", figures 1 (b) and 4 (e).
"""

import torch.nn.functional as F

from ..configs import CONFIGS
from ..layers import BatchNorm, Conv3x3, StochasticDepth
from ..mbconv import Downsample
from ..network import MaxViTConfig
from ..steps import Add, Part, Taps
from ..weights import register


class ResNetStem(Part):
    """Make first features by one convolution; the first unit norms and activates them.

    Shapes: (b, in_channels, h, w) -> (b, c, ceil(h / stride), ceil(w / stride)).
    """

    def __init__(self, stem_dim, stem_stride, in_channels=3):
        super().__init__()
        self.stride = stem_stride
        self.conv1 = Conv3x3(in_channels, stem_dim, stem_stride, bias=False)

    def forward(self, images):
        return self.conv1(images)

    def steps(self):
        return (Taps(self.conv1),)


class ResidualUnit(Part):
    """Mix neighbors and channels at once, twice, and add the shortcut.

    x <- Proj(Pool(x)) + Conv(Act(Norm(Conv(Act(Norm(x)))))). Where the shape changes the shortcut
    is MaxViT's, which averages; the paper's strides past three of four tokens.
    Shapes: (b, c, h, w) -> (b, c', ceil(h / stride), ceil(w / stride)).
    """

    def __init__(self, in_dim, dim, stride=1, drop_path=0.0, activation=F.relu):
        super().__init__()
        self.stride, self.activation = stride, activation
        self.shortcut = Downsample(in_dim, dim, stride)
        self.norm1 = BatchNorm(in_dim)
        self.conv1 = Conv3x3(in_dim, dim, stride, bias=False)
        self.norm2 = BatchNorm(dim)
        self.conv2 = Conv3x3(dim, dim, bias=False)
        self.drop = StochasticDepth(drop_path)

    def forward(self, x):
        y = self.conv1(self.activation(self.norm1(x)))  # (b, c', h', w')
        y = self.conv2(self.activation(self.norm2(y)))  # (b, c', h', w')
        return self.shortcut(x) + self.drop(y)

    def steps(self):
        return (Add((self.shortcut.steps(), (Taps(self.conv1), Taps(self.conv2)))),)


# For 32 x 32: the maps are 16, 8 and 4 tokens wide. The head is MaxViT's, for a fair comparison.
RESNET = MaxViTConfig(
    dims=(64, 128, 128),
    depths=(2, 2, 2),
    stem_dim=24,
    stem_stride=1,
    window=None,
    parts=3 * ((ResidualUnit,),),
    stem=ResNetStem,
    activation=F.relu,
    num_classes=10,
    image_size=32,
)

register(ResNetStem=ResNetStem, ResidualUnit=ResidualUnit, relu=F.relu)
CONFIGS["resnet"] = RESNET
