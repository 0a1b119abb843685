"""Which token is in which group, and the two partitions drawn on a picture."""

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from ..partition import block_partition, grid_partition

DPI = 100
DIMMED = 0.25  # how much of a picture's contrast is left outside the chosen group


def group_map(partition, h, w, side):
    """Number the tokens of a map by their group, by running the package's own partition.

    `partition` is `block_partition` or `grid_partition`, `side` its window or grid. Returns int
    (h, w), groups counted from 0. Raises ValueError if h or w does not divide by `side`.
    """
    tokens = torch.arange(h * w).reshape(1, h, w, 1)
    groups = partition(tokens, side)[0, :, :, 0].numpy()  # (n, t)
    numbered = np.empty(h * w, dtype=int)
    numbered[groups] = np.arange(len(groups))[:, None]
    return numbered.reshape(h, w)


def draw_partitions(picture, side, window):
    """Draw block beside grid on a square picture of `side` by `side` tokens.

    Every token bears the number of its group; one group is framed in full colour, the rest is pale.
    `picture` is uint8 (rows, columns, 3). Returns the figure and a sentence with its numbers.
    """
    block = group_map(block_partition, side, side, window)
    grid = group_map(grid_partition, side, side, window)
    chosen = (block.max() + 1) // 2
    figure = Figure(figsize=(10, 5.5), dpi=DPI, layout="constrained")
    figure.suptitle("Two cuts into groups of one size: only who shares a group differs")
    left, right = figure.subplots(1, 2)
    _draw_groups(left, picture, block, chosen)
    left.set_title(f"Block: a group is {(block == chosen).sum()} neighbours")
    _draw_groups(right, picture, grid, chosen)
    right.set_title(f"Grid: a group is {(grid == chosen).sum()} tokens from all over the map")
    return figure, _describe(block, grid, chosen)


def frame(axes, row, column):
    """Frame one token, black within white, so that it shows on any ground and without colour."""
    edge = withStroke(linewidth=4, foreground="white")
    corner = column - 0.5, row - 0.5
    axes.add_patch(Rectangle(corner, 1, 1, fill=False, linewidth=2, path_effects=[edge]))


def _draw_groups(axes, picture, groups, chosen):
    h, w = groups.shape
    inside = groups == chosen
    axes.imshow(_dim_outside(picture, inside), extent=(-0.5, w - 0.5, h - 0.5, -0.5))
    for row, column in np.argwhere(inside):
        frame(axes, row, column)
    halo = [withStroke(linewidth=3, foreground="white")]
    for (row, column), group in np.ndenumerate(groups):
        weight = "bold" if inside[row, column] else "normal"
        place = {"ha": "center", "va": "center"}
        axes.text(column, row, group, weight=weight, path_effects=halo, **place)
    axes.set(xticks=range(w), yticks=range(h), xlabel="column", ylabel="row")


def _dim_outside(picture, inside):
    rows, columns = (
        np.arange(pixels) * tokens // pixels
        for pixels, tokens in zip(picture.shape[:2], inside.shape, strict=True)
    )
    bright = inside[np.ix_(rows, columns)][:, :, None]
    grey = picture.mean(axis=2, keepdims=True)
    return np.where(bright, picture, 255 - DIMMED * (255 - grey)).astype(np.uint8)


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
