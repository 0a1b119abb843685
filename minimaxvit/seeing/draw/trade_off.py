"""What networks reach against what they cost: one point each, with its name beside it."""

from itertools import product
from statistics import mean
from textwrap import fill

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
from matplotlib.transforms import Bbox

from .comparison import spread
from .style import DPI

FONT = 11.5  # large enough for a page of 400 pixels
# Where a name may stand from its point, in points of type: (right, up, alignment), nearest first.
BESIDE = [(7, 0, "left"), (-7, 0, "right"), (0, 12, "center"), (0, -12, "center")]
AWAY = [
    (radius * right, radius * up, "left" if right > 0 else "right")
    for radius, up, right in product(range(16, 260, 12), (0.7, -0.7, 0.9, -0.9), (0.7, -0.7))
]
OFFSET = {"textcoords": "offset points", "va": "center", "fontsize": FONT}
LINE = {"arrowstyle": "-", "color": "0.6"}


def draw_trade_off(milliseconds, accuracies, title):
    """Draw accuracy against the time of a training step: a circle per mean, a bar for the seeds.

    `milliseconds` is {name: float} and `accuracies` {name: [one per seed]}, from 0 to 1. A name
    that finds no room beside its circle stands farther off, at the end of a line. Returns the
    figure and its alt text.
    """
    figure = Figure(figsize=(7.6, 6.4), dpi=DPI, layout="constrained")
    figure.suptitle(fill(title, 64), fontsize=FONT)
    axes = figure.subplots()
    points = {name: (milliseconds[name], 100 * mean(all_)) for name, all_ in accuracies.items()}
    for name, (x, y) in points.items():
        low, high = 100 * min(accuracies[name]), 100 * max(accuracies[name])
        axes.plot([x, x], [low, high], color="0.35", linewidth=1.5)
        axes.plot(x, y, "o", color="0.2", ms=5)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("time of one training step (ms, log scale)", fontsize=FONT)
    axes.set_ylabel("accuracy (%): a circle for the mean, a bar for the seeds", fontsize=FONT)
    axes.tick_params(labelsize=FONT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(0.1)
    axes.grid(color="0.92")
    figure.draw_without_rendering()  # so that it is known where everything stands
    _name(figure, axes, points)
    described = "; ".join(
        f"{name}: {milliseconds[name]:.0f} ms, {spread(all_)}" for name, all_ in accuracies.items()
    )
    return figure, f"{title}. Time of a training step, and accuracy in percent: {described}."


def _name(figure, axes, points):
    """Write each name where it covers no circle and no other name, if there is such a place."""
    room = Bbox.from_extents(*axes.bbox.min, figure.bbox.x1, axes.bbox.y1)
    centers = axes.transData.transform(list(points.values()))  # pixels, as in all boxes
    taken = [Bbox.from_bounds(x, y, 0, 0).padded(5) for x, y in centers]
    for (name, point), center in zip(points.items(), centers, strict=True):
        text = axes.annotate(name, point, (0, 0), **OFFSET)
        size = text.get_window_extent().size
        for right, up, side in BESIDE + AWAY:
            x, y = center + (right * DPI / 72, up * DPI / 72)
            left = x - size[0] * {"left": 0, "center": 0.5, "right": 1}[side]
            box = Bbox.from_bounds(left, y - size[1] / 2, *size).padded(2)
            inside = room.contains(*box.min) and room.contains(*box.max)
            if inside and not any(map(box.overlaps, taken)):
                break
        taken.append(box)
        text.set(position=(right, up), horizontalalignment=side)
        if right and up:
            axes.annotate("", point, (right, up), arrowprops=LINE, **OFFSET)
