"""MobileViT: convolutions around a transformer that sees the whole map by a sparse grid.

A map unfolds into patches, and every token attends to the tokens at its own place in all patches.
That is MaxViT's grid partition, with as many cells as there are patches. MaxViT mixes what stands
in a cell by block attention, where MobileViT leaves that to the convolutions around.
Source: Mehta and Rastegari 2022, "MobileViT: Light-weight, General-purpose, and Mobile-friendly
Vision Transformer", section 3.1 and figure 1 (b).
"""

from dataclasses import replace

import torch
from torch import nn

from ..block import GroupAttention
from ..configs import CONFIGS
from ..layers import BatchNorm, Conv3x3, gelu
from ..mbconv import MBConv
from ..partition import block_partition, block_reverse
from ..steps import Add, Part, Taps
from ..weights import register
from .vit import MultiHeadAttention


def unfold(x, patch):
    """Group what stands at the same place in all patches: (b, h, w, c) -> (b, n, t, c).

    n = patch * patch, t counts patches. On a square map it is `grid_partition(x, h // patch)`.
    Raises ValueError if `patch` does not divide h or w.
    """
    return block_partition(x, patch).transpose(1, 2)


def fold(groups, patch, h, w):
    """Paste groups back into the (b, h, w, c) map: the exact inverse of `unfold`."""
    return block_reverse(groups.transpose(1, 2), patch, h, w)


class UnfoldedAttention(GroupAttention):
    """A transformer layer in which every token attends to its own place in all patches.

    It is grid attention where `window` counts the tokens of a cell and not the cells, and without a
    position bias. Shapes: (b, c, h, w) -> (b, c, h, w). Source: equation 1.
    """

    partition, reverse = staticmethod(unfold), staticmethod(fold)

    def __init__(self, dim, window, expansion=2, drop_path=0.0, activation=gelu):
        super().__init__(dim, window, expansion, drop_path, activation)
        self.attention = MultiHeadAttention(dim)

    def scores(self, x):
        groups = self.partition(self.attention_norm(x.permute(0, 2, 3, 1)), self.window)
        scores = self.attention.scores(groups)
        return scores, torch.zeros_like(scores[0])  # no bias


class MobileViTBlock(Part):
    """Look near by a convolution, far by attention, and join what was seen to what came in.

    y <- LN(Transformer(Conv1x1(Act(Norm(Conv3x3(x)))))), where the transformer is one layer and in
    the paper two to four; x <- Act(Norm(Conv3x3([x, Act(Norm(Conv1x1(y)))]))). `window` is the side
    of a patch and must divide h and w. Shapes: (b, c, h, w) -> (b, c, h, w). Source: figure 1 (b).
    """

    def __init__(self, dim, window, expansion=2, drop_path=0.0, activation=gelu):
        super().__init__()
        self.divisor, self.activation = window, activation
        self.local = Conv3x3(dim, dim, bias=False)
        self.local_norm = BatchNorm(dim)
        self.enter = nn.Conv2d(dim, dim, 1, bias=False)
        self.transformer = UnfoldedAttention(dim, window, expansion, drop_path, activation)
        self.norm = nn.LayerNorm(dim)
        self.leave = nn.Conv2d(dim, dim, 1, bias=False)
        self.leave_norm = BatchNorm(dim)
        self.fuse = Conv3x3(2 * dim, dim, bias=False)
        self.fuse_norm = BatchNorm(dim)

    def forward(self, x):
        y = self.transformer(self.look_near(x))
        y = self.norm(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # over c
        y = self.activation(self.leave_norm(self.leave(y)))
        return self.activation(self.fuse_norm(self.fuse(torch.cat([x, y], 1))))

    def look_near(self, x):
        return self.enter(self.activation(self.local_norm(self.local(x))))

    def scores(self, x):
        return self.transformer.scores(self.look_near(x))

    def steps(self):
        return Add(((), (Taps(self.local), *self.transformer.steps()))), Taps(self.fuse)


# For 32 x 32. The last map is narrower than that of compact, as dense convolutions weigh much.
PARTS = 3 * ((MBConv, MobileViTBlock),)
MOBILEVIT = replace(CONFIGS["compact"], dims=(32, 96, 128), window=2, parts=PARTS)

register(MobileViTBlock=MobileViTBlock)
CONFIGS["mobilevit"] = MOBILEVIT
