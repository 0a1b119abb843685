"""Which input tokens one output token of a layer depends on, measured by exact gradients."""

from copy import deepcopy

import torch


def footprint(layer, channels, side, query):
    """Measure how much each token of a side x side map matters to the output token at `query`.

    `layer` takes (1, channels, side, side) and returns as many tokens, or a tuple that begins with
    them; a copy of it is run, in evaluation mode and float64. Returns the size of the gradient at
    each token, float64 (side, side), which is exactly 0 where no path leads to the query.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, side, side, generator=generator, dtype=torch.float64)
    x.requires_grad_()
    output = deepcopy(layer).double().eval()(x)
    token = (output[0] if isinstance(output, tuple) else output)[0, :, *query]  # (c,)
    weights = torch.randn(len(token), generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(token @ weights, x)  # a plain sum may cancel
    return gradient[0].abs().sum(0)
