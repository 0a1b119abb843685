"""The inside of an MBConv: boxes as wide as the channels and as high as the rows of each map."""

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .style import DPI

WIDEST, HIGHEST = 2.2, 0.66  # inches, for the most channels and the most rows
GAP = 0.4  # inches between two boxes
SHORTCUT, BRANCH, LABELS = 0.65, 2.5, 3.78  # inches from the left
ROUTE = {  # the branch, from top to bottom
    "input": "input",
    "expand": "expand, 1 x 1",
    "depthwise": "depthwise, 3 x 3",
    "mean": "mean of each channel",
    "squeeze": "squeeze",
    "excite": "excite",
    "squeeze_excite": "channels times weights",
    "shrink": "shrink, 1 x 1",
    "output": "output = sum",
}


def draw_mbconv(shapes, title):
    """Draw an MBConv from top to bottom, its shortcut to the left.

    `shapes` are those of `mbconv_shapes`: {name: (c, h, w)}. Every box has the width of its
    channels and the height of its rows, on one scale. Returns the figure and its alt text.
    """
    most_channels = max(c for c, _, _ in shapes.values())
    most_rows = max(h for _, h, _ in shapes.values())
    sizes = {
        name: (WIDEST * c / most_channels, HIGHEST * h / most_rows)
        for name, (c, h, _) in shapes.items()
    }
    middles, depth = {}, GAP / 2
    for name in ROUTE:
        middles[name] = depth + sizes[name][1] / 2
        depth += sizes[name][1] + GAP
    figure = Figure(figsize=(5.8, depth + 0.1), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=12)
    axes = figure.subplots()
    axes.set_title("each box is as wide as its channels, as high as its rows", fontsize=10)
    for name, label in ROUTE.items():
        _box(axes, name, BRANCH, middles[name], sizes[name])
        text = f"{label}\n{_sides(shapes[name])}"
        axes.text(LABELS, middles[name], text, va="center", fontsize=10)
    for above, below in zip(list(ROUTE)[:-1], list(ROUTE)[1:], strict=True):
        end = middles[below] - sizes[below][1] / 2
        _arrow(axes, (BRANCH, middles[above] + sizes[above][1] / 2), (BRANCH, end))
    _bypass(axes, middles, sizes)
    _shortcut(axes, shapes, middles, sizes)
    axes.set(xlim=(0, 5.7), ylim=(depth - GAP / 2, 0), aspect="equal")
    axes.axis("off")
    told = "; ".join(f"{name} {_sides(shape)}" for name, shape in shapes.items())
    return figure, f"{title}, channels x rows x columns: {told}."


def _box(axes, name, x, y, size):
    width, height = size
    corner = x - width / 2, y - height / 2
    box = Rectangle(corner, width, height, facecolor="0.85", edgecolor="black", lw=1.2, gid=name)
    axes.add_patch(box)


def _arrow(axes, start, end):
    axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "shrinkA": 1, "shrinkB": 1})


def _bypass(axes, middles, sizes):
    """Lead the map around squeeze-excitation, which multiplies it."""
    start, end = middles["depthwise"], middles["squeeze_excite"]
    side = BRANCH - max(sizes[name][0] for name in ("depthwise", "mean", "excite")) / 2
    left = side - 0.12
    axes.plot([side, left, left], [start, start, end], color="black", lw=1)
    _arrow(axes, (left, end), (BRANCH - sizes["squeeze_excite"][0] / 2, end))


def _shortcut(axes, shapes, middles, sizes):
    start, end = middles["input"], middles["output"]
    places = {"pool": middles["depthwise"], "project": middles["shrink"]}
    places = {name: place for name, place in places.items() if name in shapes}
    x, y = SHORTCUT, start
    axes.plot([BRANCH - sizes["input"][0] / 2, x], [y, y], color="black", lw=1)
    for name, place in places.items():
        height = sizes[name][1]
        _arrow(axes, (x, y), (x, place - height / 2))
        _box(axes, name, x, place, sizes[name])
        text = f"{name}\n{_sides(shapes[name])}"
        y = place + height / 2 + 0.42  # the label stands between the box and what follows
        axes.text(x, y - 0.2, text, ha="center", va="center", fontsize=10)
    axes.plot([x, x], [y, end], color="black", lw=1)
    _arrow(axes, (x, end), (BRANCH - sizes["output"][0] / 2, end))


def _sides(shape):
    return " x ".join(map(str, shape))
