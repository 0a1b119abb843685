"""What is compared at equal time is what its name says, and differs from compact in that alone."""

from dataclasses import replace

import pytest
import torch

from benchmarks.equal_time import COMPACT, NETWORKS, TRICKS
from minimaxvit import BlockAttention, GridAttention, MaxViT, MBConv, Residual, training
from minimaxvit.training import Recipe


def kinds(config):
    return {part for stage in config.parts for part in stage}


@pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
def test_every_network_names_pictures_and_is_small(config):
    model = MaxViT(config)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert sum(weight.numel() for weight in model.parameters()) < 1_500_000


def test_networks_hold_what_they_are_named_after():
    assert kinds(NETWORKS["block attention only"]) == {MBConv, Residual, BlockAttention}
    assert kinds(NETWORKS["grid attention only"]) == {MBConv, Residual, GridAttention}
    assert kinds(NETWORKS["convolutions only"]) == {MBConv, Residual}
    assert kinds(NETWORKS["ResNet"]) == {Residual}
    vit = NETWORKS["ViT"]
    assert kinds(vit) == {BlockAttention} and vit.window == 8  # one window holds the 8 x 8 map
    for name in ("block attention only", "grid attention only", "convolutions only"):
        lengths = [len(stage) for stage in NETWORKS[name].parts]
        assert lengths == [len(stage) for stage in COMPACT.parts]


@pytest.mark.parametrize("change", TRICKS.values(), ids=TRICKS)
def test_every_trick_can_be_tried(change):
    assert set(change) <= {"network", "recipe", "training"}
    assert (
        MaxViT(replace(COMPACT, **change.get("network", {})))(torch.zeros(1, 3, 32, 32))
        .isfinite()
        .all()
    )
    changed = replace(Recipe(), **change.get("recipe", {}))
    for name in change.get("training", {}):
        assert callable(getattr(training, name))
    differs = changed != Recipe() or change.get("network") or change.get("training")
    assert bool(differs) == bool(change)
