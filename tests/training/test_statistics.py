"""A copy gets batch-norm statistics of images; the model it was made from keeps its own."""

import pytest
import torch
from torch import nn

from minimaxvit import maxvit
from minimaxvit.pixels import normalize
from minimaxvit.training.statistics import with_statistics


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (40, 3, 32, 32), generator=generator, dtype=torch.uint8)


def norms(model):
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def test_statistics_are_those_of_the_images(images):
    model = maxvit("compact")
    measured = with_statistics(model, images)
    x = model.stem.conv1(normalize(images))
    norm = measured.stem.norm
    torch.testing.assert_close(norm.running_mean, x.mean((0, 2, 3)), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(norm.running_var, x.var((0, 2, 3)), rtol=1e-4, atol=1e-6)
    assert not measured.training


def test_batches_may_be_smaller(images):
    model = maxvit("compact")
    whole, halves = (with_statistics(model, images, batch) for batch in (40, 20))
    torch.testing.assert_close(whole.stem.norm.running_mean, halves.stem.norm.running_mean)


def test_model_and_random_state_stay_as_they_were(images):
    model = maxvit("tiny", num_classes=10).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    large = images[:2].repeat(1, 1, 7, 7)
    torch.manual_seed(0)
    known = torch.rand(1)
    torch.manual_seed(0)
    measured = with_statistics(model, large)
    assert torch.rand(1) == known
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert any((norm.running_var - 1).abs().max() > 0.1 for norm in norms(measured))


def test_weights_are_shared_with_nothing(images):
    model = maxvit("compact")
    measured = with_statistics(model, images)
    nn.init.zeros_(model.stem.conv1.weight)
    assert measured.stem.conv1.weight.any()


def test_a_network_without_batch_norm_is_copied(images):
    model = maxvit("vit").double()
    measured = with_statistics(model, images)
    x = normalize(images[:2]).double()
    assert torch.equal(measured(x), model.eval()(x))
