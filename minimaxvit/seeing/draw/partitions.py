"""Block and grid partition of an image, side by side."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from ...partition import block_partition, grid_partition
from ..measure.groups import group_map
from .style import DPI, frame

FONT = 12  # large enough for a page of 400 pixels
DIMMED = 0.25  # how much of the contrast is left outside the chosen group


def draw_partitions(image, side, window):
    """Draw block beside grid on a square image of `side` by `side` tokens.

    Every token shows the number of its group; one group is framed in full color, the rest is pale.
    `image` is uint8 (rows, columns, 3). Returns the figure and its alt text.
    """
    block = group_map(block_partition, side, side, window)
    grid = group_map(grid_partition, side, side, window)
    chosen = (block.max() + 1) // 2
    figure = Figure(figsize=(7, 4.6), dpi=DPI, layout="constrained")
    figure.suptitle(
        "Two ways to cut a map into groups of one size:\nthey differ in which tokens share a group"
    )
    left, right = figure.subplots(1, 2, sharey=True)
    _draw_groups(left, image, block, chosen)
    left.set_title(f"Block: a group is\n{(block == chosen).sum()} neighbors", fontsize=FONT)
    left.set_ylabel("row", fontsize=FONT)
    _draw_groups(right, image, grid, chosen)
    tokens = (grid == chosen).sum()
    right.set_title(f"Grid: a group is {tokens} tokens\nfrom all over the map", fontsize=FONT)
    return figure, _describe(block, grid, chosen)


def _draw_groups(axes, image, groups, chosen):
    h, w = groups.shape
    inside = groups == chosen
    axes.imshow(_dim_outside(image, inside), extent=(-0.5, w - 0.5, h - 0.5, -0.5))
    for row, column in np.argwhere(inside):
        frame(axes, row, column)
    halo = [withStroke(linewidth=3, foreground="white")]
    for (row, column), group in np.ndenumerate(groups):
        weight = "bold" if inside[row, column] else "normal"
        place = {"ha": "center", "va": "center", "fontsize": FONT}
        axes.text(column, row, group, weight=weight, path_effects=halo, **place)
    axes.set(xticks=range(0, w, 2), yticks=range(0, h, 2))
    axes.tick_params(labelsize=FONT)
    axes.set_xlabel("column", fontsize=FONT)


def _dim_outside(image, inside):
    rows, columns = (
        np.arange(pixels) * tokens // pixels
        for pixels, tokens in zip(image.shape[:2], inside.shape, strict=True)
    )
    bright = inside[np.ix_(rows, columns)][:, :, None]
    gray = image.mean(axis=2, keepdims=True)
    return np.where(bright, image, 255 - DIMMED * (255 - gray)).astype(np.uint8)


def _describe(block, grid, chosen):
    h, w = block.shape
    block_rows, block_columns = (_list(axis) for axis in np.nonzero(block == chosen))
    grid_rows, grid_columns = (_list(axis) for axis in np.nonzero(grid == chosen))
    return (
        f"A map of {h} x {w} tokens, cut twice into {block.max() + 1} groups of "
        f"{(block == chosen).sum()}. Block group {chosen} holds rows {block_rows} and columns "
        f"{block_columns}; grid group {chosen} holds rows {grid_rows} and columns {grid_columns}."
    )


def _list(numbers):
    return ", ".join(map(str, np.unique(numbers)))
