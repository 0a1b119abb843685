"""Batch-norm statistics, taken from images, for weights that have none of their own."""

from copy import deepcopy

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from ..modes import keeping_modes
from ..prepare import prepare


def take_statistics(model, images, seed=0, batch_size=500):
    """Replace a model's batch-norm statistics by those of uint8 images (n, 3, h, w).

    The caller's random state stays as it was; `seed` is for stochastic depth, which draws.
    """
    batches = (prepare(model, batch) for batch in images.split(batch_size))
    momenta = {norm: norm.momentum for norm in model.modules() if isinstance(norm, _BatchNorm)}
    with torch.random.fork_rng(), keeping_modes(model):
        torch.manual_seed(seed)
        try:
            update_bn(batches, model)
        finally:
            for norm, momentum in momenta.items():
                norm.momentum = momentum


def with_statistics(model, images, batch_size=500):
    """Copy a model, in evaluation mode, with batch-norm statistics taken from these images.

    `images` is uint8 (n, 3, h, w). An untrained network has statistics of no images, so its
    batch norms do nothing; a comparison with a trained one would then show that difference, not
    what training did. The model itself, and the random state, stay as they were.
    """
    measured = deepcopy(model)
    take_statistics(measured, images, batch_size=batch_size)
    return measured.eval()
