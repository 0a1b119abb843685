"""VAN: a large kernel, taken apart into cheap convolutions, says what each token keeps of itself.

Attention asks in two ways: it looks far, and its weights depend on the image. Here convolutions
look far, and multiplying by what they found depends on the image; but there are no weights between
tokens, and no softmax. MaxViT reaches the whole map in one pair of layers at any size; this kernel
reaches 11 tokens to each side. Its convolution within the feed-forward is MBConv's.
Source: Guo et al. 2022, "Visual Attention Network".
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from ..configs import CONFIGS
from ..layers import StochasticDepth
from ..steps import Add, Part, Taps
from ..weights import register

SCALE = 0.01  # where the scales of channels start, in the authors' code


class LargeKernelAttention(Part):
    """Multiply each token, channel by channel, by what a kernel of 23 x 23 tokens makes of them.

    x <- x + g (y + W2 (u * W DWD7,3(DW5 u))), u = GELU(W1 y), y = BN(x): 5 x 5 tokens, then 7 x 7
    that are 3 apart (the 21 x 21 of the paper is the kernel that these two replace), and a 1x1
    convolution. The factor is not squashed: it may be negative, or above 1, and its products would
    grow from layer to layer, did not the scale g of each channel start at 0.01.
    Shapes: (b, c, h, w) -> (b, c, h, w), of any size.
    Source: section 3.1, equations 1 and 2, figure 3; the inner shortcut y is in the authors' code.
    """

    why_no_weights = (
        "It multiplies each token by what convolutions find around it: "
        "there is no weight between two tokens to show."
    )

    def __init__(self, dim, drop_path=0.0, activation=F.gelu):
        super().__init__()
        self.activation = activation
        self.norm = nn.BatchNorm2d(dim)
        self.value = nn.Conv2d(dim, dim, 1)
        self.near = nn.Conv2d(dim, dim, 5, padding=2, groups=dim)
        self.far = nn.Conv2d(dim, dim, 7, padding=9, dilation=3, groups=dim)
        self.mix = nn.Conv2d(dim, dim, 1)
        self.output = nn.Conv2d(dim, dim, 1)
        self.scale = nn.Parameter(torch.full((dim, 1, 1), SCALE))
        self.drop = StochasticDepth(drop_path)

    def forward(self, x):
        y = self.norm(x)
        return x + self.drop(self.scale * (y + self.output(self.gate(self.value(y)))))

    def gate(self, u):
        u = self.activation(u)  # (b, c, h, w), as all here
        return u * self.mix(self.far(self.near(u)))

    def steps(self):  # a product reads what both its factors read, as a sum does
        return (Add(((), (Taps(self.near), Taps(self.far)))),)


class ConvFeedForward(Part):
    """Transform each token, with a look at its neighbors while it is wide, as MBConv does.

    x <- x + g W2 GELU(DW3 W1 BN(x)), g as above. Shapes: (b, c, h, w) -> (b, c, h, w), of any size.
    Source: section 3.2, figure 3.
    """

    def __init__(self, dim, expansion=4, drop_path=0.0, activation=F.gelu):
        super().__init__()
        inner = expansion * dim
        self.activation = activation
        self.norm = nn.BatchNorm2d(dim)
        self.expand = nn.Conv2d(dim, inner, 1)
        self.depthwise = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.shrink = nn.Conv2d(inner, dim, 1)
        self.scale = nn.Parameter(torch.full((dim, 1, 1), SCALE))
        self.drop = StochasticDepth(drop_path)

    def forward(self, x):
        y = self.depthwise(self.expand(self.norm(x)))  # (b, inner, h, w)
        return x + self.drop(self.scale * self.shrink(self.activation(y)))

    def steps(self):
        return (Add(((), (Taps(self.depthwise),))),)


# For 32 x 32. The kernel covers the 8 x 8 and the 4 x 4 map from every token.
VAN = replace(
    CONFIGS["compact"],
    depths=(2, 2, 3),
    window=None,
    parts=3 * ((LargeKernelAttention, ConvFeedForward),),
)

register(LargeKernelAttention=LargeKernelAttention, ConvFeedForward=ConvFeedForward)
CONFIGS["van"] = VAN
