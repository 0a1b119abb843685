"""What several parts share: norm, activation, convolution, feed-forward, stochastic depth."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from .fast import faster, faster_gelu, feed_forward, strided_depthwise_in_fp32

BatchNorm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)  # Keras calls this 0.01 "0.99"


@faster_gelu
def gelu(x):
    """The tanh form of GELU, which the official code has everywhere."""
    return F.gelu(x, approximate="tanh")


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution padded as TensorFlow's 'SAME', so that official weights line up.

    At stride 2 an even side gets no zero before and one after; PyTorch's padding=1 would read the
    map shifted by a pixel. Shapes: (b, c, h, w) -> (b, c', ceil(h / stride), ceil(w / stride)).
    """

    def __init__(self, in_dim, dim, stride=1, **options):
        super().__init__(in_dim, dim, 3, stride, padding=int(stride == 1), **options)

    @strided_depthwise_in_fp32
    def forward(self, x):
        if self.stride == (2, 2):
            x = F.pad(x, (x.shape[3] % 2, 1, x.shape[2] % 2, 1))  # left, right, top, bottom
        return super().forward(x)


class FeedForward(nn.Module):
    """Transform each token by itself: shrink(gelu(expand(x))). Shapes: (..., c) -> (..., c)."""

    def __init__(self, dim, expansion=4, activation=gelu):
        super().__init__()
        self.activation = activation
        self.expand = nn.Linear(dim, expansion * dim)
        self.shrink = nn.Linear(expansion * dim, dim)

    @faster(feed_forward, "expand")
    def forward(self, x):
        return self.shrink(self.activation(self.expand(x)))


class StochasticDepth(nn.Module):
    """Skip a residual branch, image by image, with probability `rate` (Huang et al. 2016).

    The others are divided by 1 - rate, so evaluation needs no change. Takes maps in either layout.
    """

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(x.shape[0], 1, 1, 1, device=x.device) >= self.rate
        return x * (kept.to(x.dtype) / (1 - self.rate))  # divides b numbers, not the map
