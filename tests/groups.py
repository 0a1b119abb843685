"""Which tokens share a group, from coordinates alone."""

import numpy as np

from minimaxvit import block_partition, grid_partition

PAIR = (block_partition, grid_partition)
SIZES = [(6, 6, 2), (8, 12, 4), (12, 8, 2), (4, 4, 4)]


def same_group(partition, h, w, side):
    """Say of every pair of tokens whether they share a group, from coordinates alone."""
    rows, columns = np.divmod(np.arange(h * w), w)
    down, right = h // side, w // side
    if partition is block_partition:
        keys = rows // side, columns // side
    else:
        keys = rows % down, columns % right
    return np.logical_and(*(np.equal.outer(key, key) for key in keys)).astype(int)
