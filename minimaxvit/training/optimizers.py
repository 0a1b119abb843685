"""Which optimizer trains which parameter, and how fast at each step.

It goes by the kind of module that a parameter belongs to, so a new part needs nothing here.
"""

import torch
from torch import nn

from .muon import Muon


def parameter_groups(model):
    """Sort all trainable parameters: {"matrices", "kernels", "rest"}, each parameter in one list.

    Matrices are the weights of linear layers and dense convolutions, except the two that touch the
    outside, the first convolution and the last linear layer. Those and depthwise kernels are
    "kernels", which decay too. The rest, such as norms, biases, tables and tokens, does not decay.
    """
    outer = {layer.weight for layer in (first_convolution(model), last_linear(model)) if layer}
    groups, seen = {"matrices": [], "kernels": [], "rest": []}, set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad or parameter in seen:
                continue
            seen.add(parameter)
            decays = name == "weight" and isinstance(module, nn.Linear | nn.Conv2d)
            dense = decays and getattr(module, "groups", 1) == 1 and parameter not in outer
            groups["matrices" if dense else "kernels" if decays else "rest"].append(parameter)
    return groups


def first_convolution(model):
    """The stem's first convolution, or None."""
    return next((each for each in model.stem.modules() if isinstance(each, nn.Conv2d)), None)


def last_linear(model):
    """The head's last linear layer, or None."""
    return ([each for each in model.head.modules() if isinstance(each, nn.Linear)] or [None])[-1]


def make_optimizers(model, recipe):
    """Give Muon the matrices and AdamW everything else, or AdamW all of it if so told.

    Returns {optimizer: its highest learning rate}.
    """
    groups, decay = parameter_groups(model), {"weight_decay": recipe.weight_decay}
    matrices = {"params": groups["matrices"], **decay}
    others = [{"params": groups["kernels"], **decay}, {"params": groups["rest"], "weight_decay": 0}]
    if not recipe.muon:
        return {_adamw([matrices, *others], recipe): recipe.adamw_lr}
    return {
        Muon([matrices], recipe.muon_lr): recipe.muon_lr,
        _adamw(others, recipe): recipe.adamw_lr,
    }


def _adamw(groups, recipe):
    return torch.optim.AdamW(groups, lr=recipe.adamw_lr, betas=(0.9, 0.95), fused=True)


def lr_schedule(step, steps, warmup):
    """Fraction of the highest learning rate at a step: up linearly to 1, then down toward 0."""
    rising = max(1, round(warmup * steps))
    return min((step + 1) / rising, (steps - step) / max(1, steps - rising))


def set_lr(optimizer, lr):
    """Set the learning rate of all groups, in place where it is a tensor."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(lr)  # a CUDA graph reads this very tensor
        else:
            group["lr"] = lr
