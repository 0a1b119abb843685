"""What several test files share. Axes as in minimaxvit/partition.py."""

import torch
from hypothesis import settings
from torch import nn

from minimaxvit import RelativePositionBias
from minimaxvit.layers import Conv3x3
from minimaxvit.steps import Add, Append, Attend, Gate, Taps

few = settings(max_examples=25, deadline=None, derandomize=True)


def randomize(module, seed=0):
    """Fill in place what initialization leaves alike, and return the module in float64, evaluating.

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


def normalized(x, norm):
    """What a batch norm makes of a map, by its formula."""
    mean, var = norm.running_mean, norm.running_var
    if norm.training:
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
    mean, var, weight, bias = (v[:, None, None] for v in (mean, var, norm.weight, norm.bias))
    return (x - mean) / torch.sqrt(var + 1e-3) * weight + bias


def said_reads(steps, h, w, k=0):
    """Which places reach which, as steps say: bool (out, in), places as in minimaxvit/steps.py.

    Gates are held constant.
    """
    return _follow(steps, h, w, k)[0] > 0


def _follow(steps, h, w, k):
    reads, begun = torch.eye(h * w + k), (h, w)
    for step in steps:
        places = h * w + k
        match step:
            case Taps(module):
                rows, columns = (_taps(module, side, axis) for axis, side in enumerate((h, w)))
                h, w = len(rows), len(columns)
                more = torch.block_diag(torch.kron(rows, columns), torch.eye(k))
            case Attend(groups):
                queries, keys = groups(
                    torch.arange(h * w).view(1, h, w, 1), torch.arange(h * w, places)
                )
                more = torch.zeros(queries.max() + 1, places)
                for query, key in zip(queries, keys, strict=True):
                    more[query[:, None], key[key >= 0]] = 1
                if len(more) > places:  # queries of the map before a coarser one of keys
                    h, w = begun
            case Append(count):
                more, k = torch.eye(places + count, places), k + count
            case Add(branches):
                found, *sizes = zip(*(_follow(branch, h, w, k) for branch in branches), strict=True)
                assert all(len(set(each)) == 1 for each in sizes)
                more = torch.zeros(max(map(len, found)), places)
                for each in found:  # attention may have fewer queries than there are places
                    more[: len(each)] += each
                h, w, k = (each[0] for each in sizes)
            case Gate():
                continue
        reads = (more @ reads).clamp(max=1)
    return reads, h, w, k


def _taps(module, side, axis):
    """Which rows, or columns, of its map the rows of a window module's output read: (out, in)."""
    if isinstance(module, nn.Identity):
        return torch.eye(side)
    kernel, stride, before = (
        value[axis] if isinstance(value, tuple) else value
        for value in (module.kernel_size, module.stride, module.padding)
    )
    dilation = getattr(module, "dilation", 1)
    dilation = dilation[axis] if isinstance(dilation, tuple) else dilation
    wide = dilation * (kernel - 1) + 1
    out = (side + 2 * before - wide) // stride + 1
    if isinstance(module, Conv3x3) and stride == 2:
        before, out = side % 2, -(-side // 2)
    if getattr(module, "ceil_mode", False):
        out = -(-side // stride)
    reads = torch.zeros(out, side)
    for place in range(out):
        start = place * stride - before
        taps = range(start, start + wide, dilation)
        reads[place, [tap for tap in taps if 0 <= tap < side]] = 1
    return reads


def measured_reads(run, *state):
    """Which places of what `run` returns change with which of a map and extra tokens: (out, in)."""

    def places(outputs):  # one row of channels per place
        rows = [y[0].flatten(1).T if y.ndim == 4 else y.flatten(0, -2) for y in outputs]
        return torch.cat(rows)

    jacobians = torch.autograd.functional.jacobian(lambda *x: places(run(*x)), state)
    reads = []
    for x, jacobian in zip(state, jacobians, strict=True):  # (out, c', 1, ...)
        channels = (1, 2, 3) if x.ndim == 4 else (1, 2, 4)
        reads.append(jacobian.abs().amax(channels).flatten(1))
    return torch.cat(reads, 1) > 1e-12
