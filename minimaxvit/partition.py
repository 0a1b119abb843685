"""Cut a feature map into groups of tokens in two ways, and paste it back (paper 3.2).

A map side is "groups times tokens" for blocks and "tokens times groups" for the grid; nothing else
differs. The factor named first varies slowest. Axes, in every file: b batch, c channels, h w rows
and columns of a map, n groups, t tokens of a group (s if they are keys), k extra tokens, d channels
of a head, p window side, g grid side; 1 is for rows and 2 for columns.
"""

from einops import rearrange


def block_partition(x, window):
    """Group neighbors, so that attention is local: blocks of `window` by `window` tokens.

    Shapes: (b, h, w, c) -> (b, n, t, c), t = window * window; blocks and their tokens row by row.
    Raises ValueError if h or w is not divisible by `window`.
    """
    _check_divides(*x.shape[1:3], window)
    return rearrange(x, "b (n1 p1) (n2 p2) c -> b (n1 n2) (p1 p2) c", p1=window, p2=window)


def block_reverse(groups, window, h, w):
    """Paste blocks back into the (b, h, w, c) map: the exact inverse of `block_partition`."""
    _check_divides(h, w, window)
    sides = {"n1": h // window, "n2": w // window, "p1": window, "p2": window}
    return rearrange(groups, "b (n1 n2) (p1 p2) c -> b (n1 p1) (n2 p2) c", **sides)


def grid_partition(x, grid):
    """Group tokens that are spread evenly over the map, one from each of `grid` by `grid` cells.

    Shapes and errors are those of `block_partition`, with t = grid * grid.
    """
    _check_divides(*x.shape[1:3], grid)
    return rearrange(x, "b (g1 n1) (g2 n2) c -> b (n1 n2) (g1 g2) c", g1=grid, g2=grid)


def grid_reverse(groups, grid, h, w):
    """Paste grid groups back into the (b, h, w, c) map: the exact inverse of `grid_partition`."""
    _check_divides(h, w, grid)
    sides = {"n1": h // grid, "n2": w // grid, "g1": grid, "g2": grid}
    return rearrange(groups, "b (n1 n2) (g1 g2) c -> b (g1 n1) (g2 n2) c", **sides)


def _check_divides(h, w, side):
    if side < 1 or h % side or w % side:
        raise ValueError(f"a map of {h} x {w} tokens is not divisible by {side}: resize it")
