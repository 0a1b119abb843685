"""How large the fields of each layer are: in one trained network, and in several untrained ones."""

from textwrap import fill

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from .style import DPI

FONT = 12  # large enough for a page of 400 pixels
LINE = 66  # characters of a title that fit into one line


def draw_field_sizes(layers, panels, title):
    """Draw one line per layer: a circle for each untrained network, a triangle for the trained one.

    `layers` are names; `panels` is {label: (untrained, trained)}, numbers of pixels of shapes
    (networks, layers) and (layers,). Returns the figure and its alt text.
    """
    figure = Figure(figsize=(7, 1.9 + 0.32 * len(layers)), dpi=DPI, layout="constrained")
    figure.suptitle(fill(title, LINE), fontsize=FONT)
    columns = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    described = []
    for axes, (label, sizes) in zip(columns, panels.items(), strict=True):
        untrained, trained = map(np.asarray, sizes)
        _draw(axes, layers, untrained, trained)
        axes.set_title(label, fontsize=FONT)
        described.append(f"{label}: {_describe(layers, untrained, trained)}")
    handles, labels = columns[0].get_legend_handles_labels()
    found = dict(zip(labels, handles, strict=True))  # one for each kind
    figure.legend(found.values(), found, loc="outside lower center", ncols=2, fontsize=FONT)
    return figure, f"{title}. {'. '.join(described)}."


def _draw(axes, layers, untrained, trained):
    lines = range(len(layers))
    for sizes in untrained:
        axes.plot(sizes, lines, "o", color="0.35", mfc="none", ms=7, label="untrained")
    axes.plot(trained, lines, "k>", mfc="none", mew=1.5, ms=9, label="trained")
    axes.set_yticks(lines, layers)
    axes.set(xscale="log", ylim=(len(layers) - 0.5, -0.5))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    axes.set_xlabel("pixels (log scale)", fontsize=FONT)
    axes.tick_params(labelsize=FONT)
    axes.margins(x=0.1)
    axes.grid(color="0.9")


def _describe(layers, untrained, trained):
    ranges = zip(untrained.min(0), untrained.max(0), strict=True)
    return "; ".join(
        f"{name}: {low} to {high} untrained, {one} trained"
        for name, (low, high), one in zip(layers, ranges, trained, strict=True)
    )
