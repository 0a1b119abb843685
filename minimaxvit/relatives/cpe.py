"""Conditional position encoding: a depthwise convolution tells tokens where they are.

Attention without a bias does not know one place from another. The zeros around the map do, and a
convolution carries that inward, for maps of any size. MaxViT leaves the same task to MBConv.
Source: Chu et al. 2021, "Conditional Positional Encodings for Vision Transformers", section 3.
"""

from torch import nn

from ..steps import Add, Part, Taps
from ..weights import register


class ConditionalPositions(Part):
    """Add to each token what its neighbors, or the zeros beyond the edge, say of its place.

    x <- x + DWConv(x). Shapes: (b, c, h, w) -> (b, c, h, w). Any map fits.
    """

    def __init__(self, dim):
        super().__init__()
        self.depthwise = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, x):
        return x + self.depthwise(x)

    def steps(self):
        return (Add(((), (Taps(self.depthwise),))),)


register(ConditionalPositions=ConditionalPositions)
