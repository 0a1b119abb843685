"""Which input tokens one output token depends on, by exact gradients, and how that looks."""

from copy import deepcopy
from math import ceil

import numpy as np
import torch
from matplotlib.figure import Figure

from .partitions import DPI, frame


def footprint(layer, channels, side, query):
    """Measure how much each token of a side x side map matters to the output token at `query`.

    `layer` takes (1, channels, side, side) and returns as many tokens; a copy of it is asked, in
    evaluation and float64. Returns the size of the gradient at each token, float64 (side, side),
    which is exactly 0 where nothing leads to the query.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, side, side, generator=generator, dtype=torch.float64)
    x.requires_grad_()
    asked = deepcopy(layer).double().eval()(x)[0, :, *query]  # (c,)
    weights = torch.randn(len(asked), generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(asked @ weights, x)  # a plain sum may cancel
    return gradient[0].abs().sum(0)


def draw_footprints(panels, title):
    """Draw which tokens are seen, a panel each; what is not seen is hatched, the query is framed.

    A panel is (label, query, sizes): a text, (row, column) and a tensor (h, w), 0 where unseen.
    Returns the figure and a sentence with its numbers.
    """
    rows = ceil(len(panels) / 2)
    figure = Figure(figsize=(9.2, 4.8 * rows), dpi=DPI, layout="constrained")
    counts = [(label, int((sizes > 0).sum()), sizes.numel()) for label, _, sizes in panels]
    figure.suptitle(f"{title} (framed: the token that is asked; hatched: not seen)")
    for place, (label, query, sizes) in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, 2, place)
        axes.patch.set(hatch="////", facecolor="white", edgecolor="grey")  # shows where none is
        seen = np.asarray(sizes) > 0
        axes.imshow(np.ma.masked_equal(seen, 0), cmap="cividis", vmin=0, vmax=2)
        frame(axes, *query)
        axes.set_title(f"{label}\n{seen.sum()} of {seen.size} tokens", fontsize=11)
        axes.set(xlabel="column", ylabel="row")
    told = "; ".join(f"{label}: {seen} of {tokens}" for label, seen, tokens in counts)
    return figure, f"{title}. Tokens seen: {told}."
