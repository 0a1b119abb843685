"""Our Muon is torch's Muon on the matrices that kernels are, taken many at a time."""

import copy
from functools import cache

import pytest
import torch
from helpers import noise
from torch import nn

from minimaxvit import CONFIGS, MaxViT
from minimaxvit.training.muon import Muon, orthogonalize
from minimaxvit.training.optimizers import parameter_groups

OPTIONS = {"lr": 0.02, "weight_decay": 0.1}
SHAPES = {
    "wide": [(6, 10)],
    "tall": [(10, 6)],
    "kernel": [(4, 8, 3, 2)],
    "tall kernel": [(20, 2, 3, 3)],
    "kernel of 1 x 1": [(8, 4, 1, 1)],
    "several of one shape": [(6, 12), (12, 6), (6, 12), (6, 3, 2, 2), (6, 2, 2, 3), (12, 6)],
}


@pytest.fixture
def torch_in_full_precision(monkeypatch):
    """torch's Muon iterates in bfloat16, which would hide any error below a percent."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)


def weights_of(*shapes, layout=torch.contiguous_format):
    numbers = [noise(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    return [nn.Parameter(_laid_out(x, layout)) for x in numbers]


def train(optimizer, weights, steps, layout=torch.contiguous_format):
    for step in steps:
        for number, weight in enumerate(weights):
            gradient = noise(*weight.shape, seed=100 * (step + 1) + number)
            weight.grad = _laid_out(gradient, layout)
        optimizer.step()


def _laid_out(x, layout):
    return x.contiguous(memory_format=layout) if x.ndim == 4 else x


@cache
def expected(shapes, steps):
    """The same weights as matrices, moved by torch's Muon one at a time."""
    moved = []
    for number, weight in enumerate(weights_of(*shapes)):
        matrix = nn.Parameter(weight.detach().flatten(1))
        optimizer = torch.optim.Muon([matrix], **OPTIONS)
        for step in range(steps):
            gradient = noise(*weight.shape, seed=100 * (step + 1) + number)
            matrix.grad = gradient.flatten(1)
            optimizer.step()
        moved.append(matrix.detach().view(weight.shape))
    return moved


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_weights_move_step_by_step_as_with_the_muon_of_torch(
    shapes, layout, torch_in_full_precision
):
    weights = weights_of(*shapes, layout=layout)
    optimizer = Muon(weights, **OPTIONS)
    for step in range(4):
        train(optimizer, weights, [step], layout)
        for weight, moved in zip(weights, expected(tuple(shapes), step + 1), strict=True):
            # They keep clear of 0 / 0 in two ways, which differ by 1e-7 of the gradient's norm.
            assert (weight - moved).abs().max() < 1e-7, f"step {step}"


def test_all_singular_values_come_near_one_and_the_directions_stay():
    matrices = noise(5, 16, 64)
    result = orthogonalize(matrices)
    values = torch.linalg.svdvals(result)
    assert 0.65 < values.min() and values.max() < 1.25
    assert torch.allclose(orthogonalize(matrices.mT), result.mT)
    for matrix, near in zip(matrices, result, strict=True):
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        inside = left.T @ near @ right.T
        assert (inside - inside.diagonal().diag()).abs().max() < 1e-9


def test_size_of_the_gradient_does_not_matter_and_zero_moves_nothing():
    matrices = noise(3, 4, 6)
    assert torch.allclose(orthogonalize(1e3 * matrices), orthogonalize(matrices), atol=1e-6)
    assert torch.equal(orthogonalize(torch.zeros(2, 4, 6)), torch.zeros(2, 4, 6))


def test_matrices_of_a_batch_do_not_mix():
    matrices = noise(3, 6, 4)
    alone = [orthogonalize(matrix[None])[0] for matrix in 10 * matrices]
    assert torch.allclose(orthogonalize(10 * matrices), torch.stack(alone))


def test_weights_keep_their_memory_and_move_after_others_are_loaded():
    layer = nn.Conv2d(4, 8, 3, bias=False).double().to(memory_format=torch.channels_last)
    place = layer.weight.data_ptr()
    optimizer = Muon([layer.weight], **OPTIONS)
    (loaded,) = weights_of((8, 4, 3, 3))
    layer.load_state_dict({"weight": loaded.detach().clone()})
    train(optimizer, [layer.weight], range(2))
    train(Muon([loaded], **OPTIONS), [loaded], range(2))
    assert torch.allclose(layer.weight, loaded, rtol=0, atol=1e-12)
    assert layer.weight.data_ptr() == place
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_weight_without_a_gradient_stays():
    still, moving = weights_of((6, 10), (6, 10))
    optimizer = Muon([still, moving], **OPTIONS)
    train(optimizer, [still, moving], [0])
    before = still.detach().clone()
    optimizer.zero_grad()
    assert still.grad is None and moving.grad is None
    train(optimizer, [moving], [1])
    assert torch.equal(still, before)


def test_gradients_are_only_read():
    weights = weights_of((8, 4, 3, 3), (6, 10))
    optimizer = Muon(weights, **OPTIONS)
    train(optimizer, weights, [0])
    for number, weight in enumerate(weights):
        assert torch.equal(weight.grad, noise(*weight.shape, seed=100 + number))


def test_a_saved_state_goes_on_as_if_nothing_had_happened():
    weights = weights_of((8, 4, 3, 3), (6, 10))
    optimizer = Muon(weights, **OPTIONS)
    train(optimizer, weights, range(3))
    state = copy.deepcopy(optimizer.state_dict())
    copies = [nn.Parameter(weight.detach().clone()) for weight in weights]
    resumed = Muon(copies, lr=9.0)
    resumed.load_state_dict(state)
    train(optimizer, weights, range(3, 6))
    train(resumed, copies, range(3, 6))
    assert all(map(torch.equal, weights, copies))


def test_each_group_keeps_its_own_rate():
    first, second = weights_of((6, 10), (6, 10))
    groups = [{"params": [first]}, {"params": [second], "lr": 0.0, "weight_decay": 0.0}]
    before = second.detach().clone()
    train(Muon(groups, **OPTIONS), [first, second], [0])
    assert torch.equal(second, before)
    (alone,) = weights_of((6, 10))
    train(Muon([alone], **OPTIONS), [alone], [0])
    assert torch.equal(first, alone)


def test_every_dense_weight_of_the_network_is_moved():
    model = MaxViT(CONFIGS["compact"])
    weights = parameter_groups(model)["matrices"]
    before = [weight.detach().clone() for weight in weights]
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    Muon(weights, **OPTIONS).step()
    # One of the stem, four of each MBConv and two projections, six of each attention, one of the
    # head: the outermost two are not Muon's.
    assert len(weights) == 1 + (3 * 4 + 2) + 5 * 6 + 1
    assert not any(map(torch.equal, weights, before))


def test_a_closure_is_called_with_gradients_and_its_loss_returned():
    weight = nn.Parameter(noise(4, 6))
    expected, ours = copy.deepcopy(weight), Muon([weight], **OPTIONS)
    (3 * expected.square()).sum().backward()

    def closure():
        ours.zero_grad()
        loss = (3 * weight.square()).sum()
        loss.backward()
        return loss

    loss = ours.step(closure)
    assert loss == (3 * expected.square()).sum()
    Muon([expected], **OPTIONS).step()
    assert torch.equal(weight, expected)
