"""MBConv, the convolution that opens a MaxViT block, and what it is made of (paper 3.3)."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

gelu = partial(F.gelu, approximate="tanh")
BatchNorm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)  # Keras calls this 0.01 "0.99"


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution padded as TensorFlow's 'SAME', so that official weights line up.

    At stride 2 an even side gets no zero before and one after; PyTorch's padding=1 would read the
    map shifted by a pixel. Shapes: (b, c, h, w) -> (b, c', ceil(h / stride), ceil(w / stride)).
    """

    def __init__(self, in_channels, channels, stride=1, **options):
        super().__init__(in_channels, channels, 3, stride, padding=int(stride == 1), **options)

    def forward(self, x):
        if self.stride == (2, 2):
            h, w = x.shape[2:]
            x = F.pad(x, (w % 2, 1, h % 2, 1))  # left, right, top, bottom
        return super().forward(x)


class SqueezeExcite(nn.Module):
    """Weigh each channel by what the whole map holds (Hu et al. 2018). Shapes stay (b, c, h, w)."""

    def __init__(self, channels, squeezed):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.excite = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        pooled = x.mean((2, 3), keepdim=True)  # (b, c, h, w) -> (b, c, 1, 1)
        return x * torch.sigmoid(self.excite(F.silu(self.squeeze(pooled))))


class Downsample(nn.Module):
    """Make a map coarser by a 2x2 average pool and wider by a 1x1 convolution, where asked."""

    def __init__(self, in_channels, channels, stride):
        super().__init__()
        self.stride = stride
        same = in_channels == channels
        self.project = nn.Identity() if same else nn.Conv2d(in_channels, channels, 1)

    def forward(self, x):
        if self.stride == 2:
            x = F.avg_pool2d(x, 2, ceil_mode=True)  # an odd side keeps its last row
        return self.project(x)


class StochasticDepth(nn.Module):
    """Skip a residual branch, picture by picture, with probability `rate` (Huang et al. 2016).

    The rest are divided by 1 - rate, so evaluation needs no change. Takes maps in either layout.
    """

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(x.shape[0], 1, 1, 1, device=x.device) >= self.rate
        return x * (kept.to(x.dtype) / (1 - self.rate))  # divides b numbers, not the map


class MBConv(nn.Module):
    """Widen, mix neighbours channel by channel, weigh the channels, narrow, and add the shortcut.

    Pre-norm: a batch norm opens the branch and none closes it. The inner width is `expansion` times
    the *output* width, the squeeze a quarter of that one; the depthwise convolution strides.
    Shapes: (b, c, h, w) -> (b, c', ceil(h / stride), ceil(w / stride)). Source: paper 3.3.
    """

    def __init__(self, in_channels, channels, stride=1, expansion=4, drop_rate=0.0):
        super().__init__()
        inner = expansion * channels
        self.shortcut = Downsample(in_channels, channels, stride)
        self.norm = BatchNorm(in_channels)
        self.expand = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.expand_norm = BatchNorm(inner)
        self.depthwise = Conv3x3(inner, inner, stride, groups=inner, bias=False)
        self.depthwise_norm = BatchNorm(inner)
        self.squeeze_excite = SqueezeExcite(inner, channels // 4)
        self.shrink = nn.Conv2d(inner, channels, 1)
        self.drop = StochasticDepth(drop_rate)

    def forward(self, x):
        y = self.norm(x)
        y = gelu(self.expand_norm(self.expand(y)))  # (b, inner, h, w)
        y = gelu(self.depthwise_norm(self.depthwise(y)))  # (b, inner, h', w')
        y = self.shrink(self.squeeze_excite(y))  # (b, c', h', w')
        return self.shortcut(x) + self.drop(y)
