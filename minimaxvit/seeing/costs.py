"""What a picture costs, as multiply-adds by kind of operation: the same on every machine."""

import torch
from matplotlib.figure import Figure
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..network import MaxViT
from .partitions import DPI


def multiply_adds(config, h, w):
    """Count the multiply-adds for one picture of h by w, without computing anything.

    Returns {kind: count}, costliest first. What is no layer's is attention's two products of pairs.
    Norms, activations, softmax, pooling and sums are left out. ValueError if the size does not fit.
    """
    with torch.device("meta"):  # shapes alone
        model = MaxViT(config).eval()
        model.check_size(h, w)
        images = torch.empty(1, 3, h, w)
    with FlopCounterMode(display=False) as counter:
        model(images)
    of_modules = counter.get_flop_counts()
    costs = {}
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            kind = _kind(name, layer)
            flops = sum(of_modules[f"{type(model).__name__}.{name}"].values())
            costs[kind] = costs.get(kind, 0) + flops // 2
    rest = counter.get_total_flops() // 2 - sum(costs.values())
    costs |= {"attention: products of pairs": rest} if rest else {}
    return dict(sorted(costs.items(), key=lambda item: -item[1]))


def _kind(name, layer):
    if isinstance(layer, nn.Conv2d):
        if layer.kernel_size == (1, 1):
            return "convolutions: 1x1"
        return f"convolutions: {'dense' if layer.groups == 1 else 'depthwise'} 3x3"
    if name.startswith("head."):
        return "linear: head"
    return f"linear: {'feed-forward' if '.feed_forward.' in name else 'attention'}"


def draw_costs(costs, title):
    """Draw a bar for each kind of `multiply_adds`, with its number beside it.

    Returns the figure and a sentence with its numbers.
    """
    total = sum(costs.values())
    labels = [f"{count / 1e6:,.1f} M, {count / total:.1%}" for count in costs.values()]
    figure = Figure(figsize=(7.6, 0.9 + 0.4 * len(costs)), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(list(costs), [count / 1e6 for count in costs.values()], color="0.6")
    axes.bar_label(bars, labels, padding=4)
    axes.invert_yaxis()  # the costliest above
    axes.margins(x=0.4)  # for the labels
    axes.set(title=title, xlabel="millions of multiply-adds")
    told = "; ".join(f"{kind} {label}" for kind, label in zip(costs, labels, strict=True))
    return figure, f"{title}. Multiply-adds: {told}; in all {total / 1e6:,.1f} M."
