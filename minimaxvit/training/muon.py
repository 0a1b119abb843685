"""Muon: momentum whose matrices are made orthogonal before the step (Jordan et al. 2024).

torch.optim.Muon takes 2-D weights, one at a time. Ours takes kernels too, and all matrices
of one shape at once, which saves many small calls.
"""

import torch


class Muon(torch.optim.Optimizer):
    """Step for the weights of linear layers (c', c) and of dense convolutions (c', c, h, w).

    A kernel counts as the matrix (c', c * h * w). A step also shrinks by `lr` * `weight_decay`.
    """

    def __init__(self, weights, lr, weight_decay=0.0, momentum=0.95):
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    def add_param_group(self, group):
        super().add_param_group(group)
        for weight in group["params"]:
            if weight.ndim < 2:
                raise ValueError(
                    f"Muon steps matrices and kernels, got a weight of shape "
                    f"{tuple(weight.shape)}: give it to AdamW"
                )

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            by_shape = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    by_shape.setdefault(weight.flatten(1).shape, []).append(weight)
            for (rows, columns), weights in by_shape.items():
                moved = [self._momentum(weight, group["momentum"]) for weight in weights]
                steps = orthogonalize(torch.stack(moved))
                size = group["lr"] * max(1, rows / columns) ** 0.5
                for weight, step in zip(weights, steps, strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                    weight.sub_(size * step.view_as(weight))
        return loss

    def _momentum(self, weight, momentum):
        """Average the gradients and look one step ahead (Nesterov), as a matrix."""
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        state["momentum"].lerp_(weight.grad, 1 - momentum)
        return weight.grad.lerp(state["momentum"], momentum).flatten(1)


def orthogonalize(matrices, steps=5):
    """Bring all singular values near 1 and leave the directions, by a Newton-Schulz iteration.

    Shapes: (k, rows, columns) -> the same. The polynomial is tuned for speed: after five steps all
    values but those that were almost zero lie between about 0.7 and 1.2.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if tall else x
