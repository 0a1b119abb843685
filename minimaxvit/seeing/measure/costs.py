"""What one image costs, as multiply-adds by kind of operation: the same on every machine."""

from copy import deepcopy
from functools import partial

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ...layers import FeedForward
from ...network import MaxViT

PRODUCTS = "attention: products of pairs"


def multiply_adds(config, h, w):
    """Count the multiply-adds for one image of h by w, without computing anything.

    Returns {kind: count}, costliest first. Besides convolutions and linear layers, there are the
    products of attention: queries with keys, and weights with values. Norms, activations, softmax,
    pooling and sums are left out. ValueError if the size does not fit.
    """
    with torch.device("meta"):  # shapes alone
        model = MaxViT(config).eval()
        model.check_size(h, w)
        images = torch.empty(1, 3, h, w)
    costs, kinds = {}, _kinds(model)

    def add(kind, layer, inputs, output):
        # Each output number is the product of one row of the weights with what the layer reads.
        costs[kind] = costs.get(kind, 0) + output.numel() * layer.weight[0].numel()

    for layer, kind in kinds.items():
        layer.register_forward_hook(partial(add, kind))
    with FlopCounterMode(display=False) as counter:
        model(images)
    rest = counter.get_total_flops() // 2 - sum(costs.values())
    costs |= {PRODUCTS: rest} if rest else {}
    return dict(sorted(costs.items(), key=lambda item: -item[1]))


def layer_multiply_adds(layer, dim, h, w):
    """Count the multiply-adds of one part for a map of `dim` channels, without computing anything.

    What counts is what counts in `multiply_adds`.
    """
    layer = deepcopy(layer).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer.run(torch.empty(1, dim, h, w, device="meta"))
    return counter.get_total_flops() // 2


def _kinds(model):
    """Name the kind of every convolution and linear layer, by where it stands in the model."""
    within = {
        "head": set(model.head.modules()),
        "feed-forward": _inside(model, lambda module: isinstance(module, FeedForward)),
        "attention": _inside(model, lambda module: hasattr(module, "scores")),
    }
    kinds = {}
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            kinds[layer] = _kind_of_convolution(layer)
        elif isinstance(layer, nn.Linear):
            where = (name for name, modules in within.items() if layer in modules)
            kinds[layer] = f"linear: {next(where, 'other')}"
    return kinds


def _inside(model, wanted):
    return {inner for module in model.modules() if wanted(module) for inner in module.modules()}


def _kind_of_convolution(layer):
    rows, columns = layer.kernel_size
    if (rows, columns, layer.groups) == (1, 1, 1):
        return "convolutions: 1x1"
    grouped = "depthwise" if layer.groups == layer.in_channels else "grouped"
    return f"convolutions: {'dense' if layer.groups == 1 else grouped} {rows}x{columns}"
