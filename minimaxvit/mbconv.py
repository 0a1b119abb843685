"""MBConv, the convolution that opens a MaxViT block, and what it is made of (paper 3.3)."""

import torch
import torch.nn.functional as F
from torch import nn

from .fast import faster, mbconv
from .layers import BatchNorm, Conv3x3, StochasticDepth, gelu
from .steps import Add, Gate, Part, Taps


class SqueezeExcite(nn.Module):
    """Weight each channel of a map by what the whole map holds (Hu et al. 2018).

    x * sigmoid(excite(silu(squeeze(mean of x)))). Shapes: (b, c, h, w) -> (b, c, h, w).
    """

    def __init__(self, dim, squeezed_dim):
        super().__init__()
        self.squeeze = nn.Conv2d(dim, squeezed_dim, 1)
        self.excite = nn.Conv2d(squeezed_dim, dim, 1)

    def forward(self, x):
        mean = x.mean((2, 3), keepdim=True)  # (b, c, h, w) -> (b, c, 1, 1)
        return x * torch.sigmoid(self.excite(F.silu(self.squeeze(mean))))


class Downsample(Part):
    """Make a map coarser by an average pool and change its channels, each only where asked.

    Shapes: (b, c, h, w) -> (b, c', ceil(h / stride), ceil(w / stride)).
    """

    def __init__(self, in_dim, dim, stride):
        super().__init__()
        self.stride = stride  # ceil_mode: the last row of an odd side stands alone
        self.pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
        self.project = nn.Conv2d(in_dim, dim, 1) if in_dim != dim else nn.Identity()

    def forward(self, x):
        return self.project(self.pool(x))

    def steps(self):
        return (Taps(self.pool),)


class MBConv(Part):
    """Expand, mix neighbors channel by channel, weight the channels, shrink, and add the shortcut.

    x <- Proj(Pool(x)) + Conv(SE(DWConv(Conv(Norm(x))))), where Pool and DWConv stride. Pre-norm:
    a batch norm opens the branch and none closes it; GELU follows the two inner ones. The inner
    width is `expansion` times the *output* channels, the squeezed one a quarter of the output's.
    Shapes: (b, c, h, w) -> (b, c', ceil(h / stride), ceil(w / stride)). Source: paper 3.3.
    """

    def __init__(self, in_dim, dim, stride=1, expansion=4, drop_path=0.0, activation=gelu):
        super().__init__()
        inner = expansion * dim
        self.stride, self.activation = stride, activation
        self.shortcut = Downsample(in_dim, dim, stride)
        self.norm = BatchNorm(in_dim)
        self.expand = nn.Conv2d(in_dim, inner, 1, bias=False)
        self.expand_norm = BatchNorm(inner)
        self.depthwise = Conv3x3(inner, inner, stride, groups=inner, bias=False)
        self.depthwise_norm = BatchNorm(inner)
        self.squeeze_excite = SqueezeExcite(inner, dim // 4)
        self.shrink = nn.Conv2d(inner, dim, 1)
        self.drop = StochasticDepth(drop_path)

    @faster(mbconv, "expand", "expand_norm", "depthwise", "depthwise_norm")
    def forward(self, x):
        y = self.norm(x)
        y = self.activation(self.expand_norm(self.expand(y)))  # (b, inner, h, w)
        y = self.activation(self.depthwise_norm(self.depthwise(y)))  # (b, inner, h', w')
        y = self.shrink(self.squeeze_excite(y))  # (b, c', h', w')
        return self.shortcut(x) + self.drop(y)

    def steps(self):
        return (Add((self.shortcut.steps(), (Taps(self.depthwise), Gate()))),)
