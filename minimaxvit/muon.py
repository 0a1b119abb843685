"""Muon for a network with convolutions: it takes matrices, so kernels are shown to it as such."""

import torch
from torch import nn


class KernelMuon(torch.optim.Muon):
    """Step along the nearest orthogonal matrix of the momentum, which makes few epochs go far.

    Takes the weights of linear layers (c', c) and of dense convolutions (c', c, h, w); a kernel is
    seen as the matrix (c', h * w * c), which shares its memory. Source: Jordan et al. 2024.
    """

    def __init__(self, weights, **options):
        self.weights = list(weights)
        self.matrices = [nn.Parameter(_as_matrix(weight.detach())) for weight in self.weights]
        for weight, matrix in zip(self.weights, self.matrices, strict=True):
            if weight.data_ptr() != matrix.data_ptr():
                raise ValueError(f"a kernel {tuple(weight.shape)} must lie in channels-last memory")
        super().__init__(self.matrices, **options)

    @torch.no_grad()
    def step(self, closure=None):
        for weight, matrix in zip(self.weights, self.matrices, strict=True):
            matrix.grad = None if weight.grad is None else _as_matrix(weight.grad)
        return super().step(closure)


def _as_matrix(tensor):
    return tensor.permute(0, 2, 3, 1).flatten(1) if tensor.ndim == 4 else tensor
