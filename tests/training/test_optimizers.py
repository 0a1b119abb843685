"""Every parameter has one optimizer, by the kind of module that it belongs to."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn
from training_helpers import SHORT, SMALL

from minimaxvit import CONFIGS, MaxViT
from minimaxvit.steps import Part, Taps
from minimaxvit.training import Recipe
from minimaxvit.training.optimizers import lr_schedule, make_optimizers, parameter_groups


class Odd(Part):
    """What no part of the package has: a wide depthwise kernel, a 2-D table and a scalar."""

    def __init__(self, dim):
        super().__init__()
        self.depthwise = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.table = nn.Parameter(torch.zeros(5, 5))
        self.scale = nn.Parameter(torch.zeros(()))
        self.mix = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x):
        return x + self.scale * self.mix(self.depthwise(x)) + self.table.sum()

    def steps(self):
        return (Taps(self.depthwise), Taps(self.mix))


WITH_ODD = replace(SMALL, parts=((*SMALL.parts[0], Odd),))
NETWORKS = {"odd": WITH_ODD} | {
    name: CONFIGS[name] for name in ("compact", "hybrid", "convolutions", "vit", "resnet")
}


@pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("muon", [True, False])
def test_every_trainable_parameter_is_in_exactly_one_group(config, muon):
    model = MaxViT(config)
    next(model.stem.parameters()).requires_grad_(False)
    in_groups = [
        parameter
        for optimizer in make_optimizers(model, Recipe(muon=muon))
        for group in optimizer.param_groups
        for parameter in group["params"]
    ]
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert sorted(map(id, in_groups)) == sorted(map(id, trainable))


def named_groups(model):
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {key: {names[each] for each in group} for key, group in parameter_groups(model).items()}


def test_a_group_goes_by_the_kind_of_module():
    groups = named_groups(MaxViT(WITH_ODD))
    odd = "stages.0.0.parts.3."
    assert groups["kernels"] == {
        *("stem.conv1.weight", "head.classify.weight"),
        *("stages.0.0.parts.0.depthwise.weight", odd + "depthwise.weight"),
    }
    assert {odd + "table", odd + "scale", odd + "mix.bias"} < groups["rest"]
    matrices = {"stages.0.0.parts.1.attention.query.weight", "stem.conv2.weight"}
    assert matrices | {odd + "mix.weight"} < groups["matrices"]
    assert all(name.endswith("weight") for name in groups["matrices"])


def test_exactly_the_weights_of_convolutions_and_linear_layers_decay():
    model = MaxViT(WITH_ODD)
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for optimizer in make_optimizers(model, Recipe(weight_decay=0.3)):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                decays = any(parameter is layer.weight for layer in layers)
                assert group["weight_decay"] == (0.3 if decays else 0)


def test_without_muon_adamw_trains_everything_at_its_own_rate():
    recipe = replace(SHORT, muon=False, adamw_lr=0.003)
    (optimizer,) = make_optimizers(MaxViT(SMALL), recipe).items()
    assert isinstance(optimizer[0], torch.optim.AdamW) and optimizer[1] == 0.003
    assert {group["betas"] for group in optimizer[0].param_groups} == {(0.9, 0.95)}


def test_the_learning_rate_rises_linearly_and_falls_to_zero():
    rates = [lr_schedule(step, 100, 0.1) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == pytest.approx(1)
    assert rates[55] == pytest.approx(0.5) and rates[100] == 0
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[10:]))
    assert lr_schedule(0, 1, 0.1) == 1
