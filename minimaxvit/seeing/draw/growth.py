"""How the cost of layers grows with the image; on log-log axes a power is a straight line."""

from itertools import cycle
from textwrap import fill

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from .style import DPI

FONT = 11.5  # large enough for a page of 400 pixels
STYLES = "o-", "s--", "^:", "D-.", "v-"  # distinct without color
CLOSE = 2  # curves that end within this factor have their labels moved apart


def draw_growth(sides, curves, title):
    """Draw multiply-adds against the side of an image, one labeled curve per layer.

    `sides` are in pixels, each twice the one before; `curves` maps a name to one count per side.
    Returns the figure and its alt text.
    """
    figure = Figure(figsize=(6.6, 5.2), dpi=DPI, layout="constrained")
    figure.suptitle(fill(title, 65), fontsize=FONT)
    axes = figure.subplots()
    for (name, costs), style in zip(curves.items(), cycle(STYLES)):
        axes.loglog(sides, costs, style, color="0.25", mfc="none")
        place = 10, 5 * _crowded(costs[-1], [other[-1] for other in curves.values()])
        end = {"textcoords": "offset points", "va": "center", "fontsize": FONT}
        axes.annotate(name, (sides[-1], costs[-1]), place, **end)
    axes.set_xticks(sides, sides)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(labelsize=FONT)
    axes.set_xlabel("side of the image (pixels, log scale)", fontsize=FONT)
    axes.set_ylabel("multiply-adds of one layer (log scale)", fontsize=FONT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.9")
    return figure, f"{title}. {_describe(sides, curves)}"


def _crowded(end, ends):
    """Count the ends close below this one, less those close above."""
    close = [other for other in ends if end / CLOSE < other < end * CLOSE]
    return sum(other < end for other in close) - sum(other > end for other in close)


def _describe(sides, curves):
    described = (
        f"{name}: {costs[0] / 1e9:.3f} to {costs[-1] / 1e9:,.1f} billion, "
        f"the last doubling multiplies by {costs[-1] / costs[-2]:.1f}"
        for name, costs in curves.items()
    )
    return f"From {sides[0]} to {sides[-1]} pixels, {'; '.join(described)}."
