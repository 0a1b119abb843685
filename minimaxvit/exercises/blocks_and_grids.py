"""Lesson 4: which grid group a token is in, and how to paste groups back into their map."""

import torch
from einops import rearrange

from ..partition import block_reverse, grid_partition, grid_reverse
from .checking import Exercise

SIZES = ((4, 8, 2), (6, 6, 2), (8, 32, 4))  # h, w, grid; swapped sides fit the last


def cases():
    """Partition random maps of every size; an answer is called as answer(groups, grid, h, w)."""
    generator = torch.Generator().manual_seed(0)
    maps = [(torch.randn(2, h, w, 3, generator=generator), grid) for h, w, grid in SIZES]
    return [(grid_partition(x, grid), grid, *x.shape[1:3]) for x, grid in maps]


def as_reshape(groups, grid, h, w):
    return groups.reshape(len(groups), h, w, -1)


def paste_by(pattern):
    """Paste with the right sizes, but with another pattern."""

    def paste(groups, grid, h, w):
        return rearrange(groups, pattern, g1=grid, g2=grid, n1=h // grid, n2=w // grid)

    return paste


token_columns = paste_by("b (n1 n2) (g2 g1) c -> b (g1 n1) (g2 n2) c")
group_columns = paste_by("b (n2 n1) (g1 g2) c -> b (g1 n1) (g2 n2) c")
all_columns = paste_by("b (n2 n1) (g2 g1) c -> b (g1 n1) (g2 n2) c")
rows_for_columns = paste_by("b (n1 n2) (g1 g2) c -> b (g2 n2) (g1 n1) c")


def cut_again(groups, grid, h, w):
    return rearrange(groups, "b (g1 n1) (g2 n2) c -> b (n1 n2) (g1 g2) c", g1=grid, g2=grid)


def side_for_stride(groups, grid, h, w):
    pattern = "b (n1 n2) (g1 g2) c -> b (g1 n1) (g2 n2) c"
    return rearrange(groups, pattern, n1=grid, n2=grid, g1=h // grid, g2=w // grid)


def height_alone(groups, grid, h, w):
    pattern = "b (n1 n2) (g1 g2) c -> b (g1 n1) (g2 n2) c"
    return rearrange(groups, pattern, g1=grid, g2=grid, n1=h // grid, n2=h // grid)


PASTE_GRID = Exercise(
    truth=grid_reverse,
    cases=cases,
    mistakes=(
        (block_reverse, "you pasted each group as neighbors: that is `block_reverse`."),
        (as_reshape, "a reshape moves nothing: the groups now follow one another in the map."),
        (cut_again, "you partitioned again: that is the line of the partition, not its inverse."),
        (token_columns, "you placed the tokens of a group column by column; they come row by row."),
        (group_columns, "you placed the groups column by column; they come row by row."),
        (
            all_columns,
            "you placed groups and the tokens in them column by column; both come row by row.",
        ),
        (rows_for_columns, "rows and columns are swapped: (g1 n1) are the rows of the map."),
        (
            side_for_stride,
            "the sizes are swapped: g1 and g2 are `grid`, and n1 and n2 are what is left.",
        ),
        (height_alone, "it only works on square maps: n1 comes from h, and n2 from w."),
    ),
    hints=(
        "reverse the line of grid_partition: what was right of the arrow is now left of it.",
        "the left side is b (n1 n2) (g1 g2) c; on the right, the map's rows are (g1 n1).",
        "each pair in parentheses can be split in many ways, so give one size of each, "
        "n1=h // grid and g1=grid.",
    ),
)


def group_of(row, column, h, w, grid):
    """Find the grid group of the tokens at these rows and columns, numbered row by row."""
    down, right = h // grid, w // grid
    return row % down * right + column % right


def places():
    generator = torch.Generator().manual_seed(0)
    sizes = ((6, 6, 2), (4, 8, 2), (8, 32, 4), (12, 4, 4), (6, 12, 3))  # h, w, grid
    return [
        (
            torch.randint(h, (6,), generator=generator),
            torch.randint(w, (6,), generator=generator),
            h,
            w,
            grid,
        )
        for h, w, grid in sizes
    ]


def block_of(row, column, h, w, grid):
    return row // grid * (w // grid) + column // grid


def cell_of(row, column, h, w, grid):
    return row // (h // grid) * grid + column // (w // grid)


def by_the_side(row, column, h, w, grid):
    return row % grid * grid + column % grid


def rows_by_cell(row, column, h, w, grid):
    return row // (h // grid) * (w // grid) + column % (w // grid)


def columns_by_cell(row, column, h, w, grid):
    return row % (h // grid) * (w // grid) + column // (w // grid)


def rows_by_the_side(row, column, h, w, grid):
    return row % grid * (w // grid) + column % (w // grid)


def columns_by_the_side(row, column, h, w, grid):
    return row % (h // grid) * (w // grid) + column % grid


def within_the_side(row, column, h, w, grid):
    return row % grid * (w // grid) + column % grid


def rows_step_wrong(row, column, h, w, grid):
    return row % (h // grid) * (h // grid) + column % (w // grid)


def rows_of_cells(row, column, h, w, grid):
    return row % (h // grid) * grid + column % (w // grid)


def group_by_columns(row, column, h, w, grid):
    return column % (w // grid) * (h // grid) + row % (h // grid)


def slow_columns(row, column, h, w, grid):
    return column % (w // grid) * (w // grid) + row % (h // grid)


def sides_swapped(row, column, h, w, grid):
    return row % (w // grid) * (w // grid) + column % (h // grid)


GRID_AS_SIDE = "a cell has h // grid by w // grid tokens; you took `grid` for its sides."
GROUP_OF = Exercise(
    truth=group_of,
    cases=places,
    mistakes=(
        (
            block_of,
            "that is the window a token is in: you used the block partition. (Or are parentheses "
            "missing? row % h // grid is (row % h) // grid.)",
        ),
        (cell_of, "that is the cell a token is in; its group is its place *within* the cell."),
        (
            rows_by_cell,
            "row // (h // grid) is the cell; the row *within* the cell is what is left.",
        ),
        (
            columns_by_cell,
            "column // (w // grid) is the cell; the column *within* the cell is what is left.",
        ),
        (rows_by_the_side, "a cell has h // grid rows; you took `grid` for them."),
        (columns_by_the_side, "a cell has w // grid columns; you took `grid` for them."),
        (by_the_side, "a cell has h // grid by w // grid tokens; you took `grid` for its sides."),
        (
            within_the_side,
            "a cell has h // grid by w // grid tokens; you took `grid` for its sides.",
        ),
        (rows_step_wrong, "it only works on square maps: there are w // grid groups in a row."),
        (rows_of_cells, "there are w // grid groups in a row, not `grid`."),
        (group_by_columns, "you numbered the groups column by column; number them row by row."),
        (slow_columns, "the column is your slow digit, but groups are numbered row by row."),
        (sides_swapped, "rows and columns are swapped: cells are h // grid tokens high."),
    ),
    hints=(
        "tokens at the same place in their cells share a group: where in its cell is a token?",
        "cells are h // grid high and w // grid wide, and % gives the place within a cell.",
        "a row and a column within the cell are two digits of one number, the row the slow one: "
        "how many groups are in a row of groups?",
    ),
)
