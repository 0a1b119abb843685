"""What several test files share. Axes as in minimaxvit/partition.py."""

import torch
from hypothesis import settings
from torch import nn

from minimaxvit import RelativePositionBias

few = settings(max_examples=25)  # the rest of the profile is conftest.py's


def randomise(module, seed=0):
    """Fill in place what initialisation leaves alike, and return the module in float64, evaluating.

    Fresh norms do nothing, biases are zero and tables nearly so: many errors hide behind that. And
    fresh weights are so small that through a whole network random biases are all that is left.
    """
    torch.manual_seed(seed)
    for part in module.double().eval().modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.1, 2)
        if isinstance(part, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.uniform_(part.weight, 0.5, 1.5)
        if isinstance(part, nn.Conv2d | nn.Linear):  # else biases would drown what goes through
            nn.init.normal_(part.weight, std=part.weight[0].numel() ** -0.5)
        if isinstance(part, RelativePositionBias):
            nn.init.normal_(part.table)
        if getattr(part, "bias", None) is not None and not isinstance(part.bias, nn.Module):
            nn.init.normal_(part.bias)
    return module


def noise(*shape, seed=1):
    """Standard normal numbers in float64, the same for the same seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
