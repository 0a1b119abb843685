"""The style that all figures have in common."""

from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

DPI = 100


def frame(axes, row, column):
    """Frame one token in black and white, which stands out on any background and without color."""
    edge = withStroke(linewidth=4, foreground="white")
    corner = column - 0.5, row - 0.5
    axes.add_patch(Rectangle(corner, 1, 1, fill=False, linewidth=2, path_effects=[edge]))
