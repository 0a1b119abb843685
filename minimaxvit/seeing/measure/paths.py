"""How far a token sees through one attention after another, by counting paths on a map."""

import numpy as np

from .groups import group_map


def count_paths(partitions, h, w, side, query):
    """Count the paths by which each token reaches the query through attention layers in order.

    A layer joins all tokens of a group, so the count is a row of the product of the same-group
    matrices; it is taken from the last layer back, as the query gathers through that one.
    `side` is that of the window and of the grid, `query` (row, column). Returns int (h, w), with 0
    where no path leads to the query.
    """
    paths = np.zeros(h * w, dtype=int)
    paths[np.ravel_multi_index(query, (h, w))] = 1
    for partition in reversed(partitions):
        groups = group_map(partition, h, w, side).ravel()
        in_group = np.zeros(groups.max() + 1, dtype=int)
        np.add.at(in_group, groups, paths)
        paths = in_group[groups]
    return paths.reshape(h, w)
