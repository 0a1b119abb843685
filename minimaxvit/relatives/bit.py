"""BiT: the pre-activation ResNet without batch norm, so that images do not depend on their batch.

Group norm takes its statistics from one image, and standardized weights keep an even scale between
norms, which batch norm used to do. MaxViT keeps batch norm in MBConv and norms each token by itself
elsewhere; a group norm is of a whole map, so even a network of convolutions sees all of it a bit.
Source: Kolesnikov et al. 2020, "Big Transfer (BiT): General Visual Representation Learning".
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from ..configs import CONFIGS
from ..layers import Conv3x3
from ..steps import Add, Gate, Taps
from ..weights import register
from .resnet import RESNET, ResidualUnit

EPS = 1e-10  # of the variance of weights, in the official code
GROUPS = 32


class GroupNorm(nn.GroupNorm):
    """Norm 32 groups of channels, image by image. ValueError if 32 does not divide `dim`."""

    def __init__(self, dim):
        if dim % GROUPS:
            raise ValueError(f"{dim} channels do not divide into {GROUPS} groups")
        super().__init__(GROUPS, dim)

    def forward(self, x):
        if torch.is_grad_enabled() and not x.requires_grad:  # as behind a stem that is frozen
            x = x.contiguous()  # on channels-last maps, PyTorch's gradient of the weights crashes
        return super().forward(x)


class StandardizedConv3x3(Conv3x3):
    """Convolve by filters of mean 0 and variance 1, whatever has been learned.

    (w - mean) / sqrt(variance + eps), each over all weights that lead to one output channel; the
    variance is the biased one. Shapes: those of `Conv3x3`. Source: section 2.1; Qiao et al. 2019,
    "Micro-Batch Training with Batch-Channel Normalization and Weight Standardization".
    """

    def _conv_forward(self, x, weight, bias):  # PyTorch's own, which is handed the weights
        variance, mean = torch.var_mean(weight, (1, 2, 3), correction=0, keepdim=True)
        return super()._conv_forward(x, (weight - mean) / (variance + EPS).sqrt(), bias)


class GroupNormUnit(ResidualUnit):
    """Do as a residual unit does, with group norms and standardized weights.

    x <- Proj(Pool(x)) + Conv(Act(Norm(Conv(Act(Norm(x)))))); the paper's large units are
    bottlenecks of three convolutions. The norms gate: what they divide by is of the whole map. The
    shortcut is MaxViT's, as in `ResidualUnit`.
    Shapes: (b, c, h, w) -> (b, c', ceil(h / stride), ceil(w / stride)). ValueError if 32 groups do
    not divide c and c'. Source: section 2.1.
    """

    def __init__(self, in_dim, dim, stride=1, drop_path=0.0, activation=F.relu):
        super().__init__(in_dim, dim, stride, drop_path, activation)
        self.norm1, self.norm2 = GroupNorm(in_dim), GroupNorm(dim)
        self.conv1 = StandardizedConv3x3(in_dim, dim, stride, bias=False)
        self.conv2 = StandardizedConv3x3(dim, dim, bias=False)

    def steps(self):
        branch = (Gate(), Taps(self.conv1), Gate(), Taps(self.conv2))
        return (Add((self.shortcut.steps(), branch)),)


# For 32 x 32: the ResNet but for its units. The stem's weights are not standardized, so that they
# may whiten; a multiple of 32 channels lets the first unit norm them.
BIT = replace(RESNET, stem_dim=32, parts=3 * ((GroupNormUnit,),))

register(GroupNormUnit=GroupNormUnit)
CONFIGS["bit"] = BIT
