"""Which token is in which group of a partition."""

import numpy as np
import torch


def group_map(partition, h, w, side):
    """Number the tokens of a map by their group, by running the package's own partition.

    `partition` is `block_partition` or `grid_partition`, `side` its window or grid. Returns int
    (h, w), groups counted from 0. Raises ValueError if h or w is not divisible by `side`.
    """
    tokens = torch.arange(h * w).reshape(1, h, w, 1)
    groups = partition(tokens, side)[0, :, :, 0].numpy()  # (n, t)
    numbered = np.empty(h * w, dtype=int)
    numbered[groups] = np.arange(len(groups))[:, None]
    return numbered.reshape(h, w)
