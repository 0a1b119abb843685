"""What is compared at equal time is what its name says, and differs from compact in that alone."""

import json
import sys
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import noise, randomise
from test_mbconv import normalised

from benchmarks import equal_time
from benchmarks.equal_time import (
    COMPACT,
    NETWORKS,
    RECIPE,
    TRICKS,
    Residual,
    changed,
    coins,
    leave_as_it_is,
)
from minimaxvit import (
    MAX_SA,
    BlockAttention,
    GridAttention,
    MaxViT,
    MBConv,
    PooledConvs,
    training,
)
from minimaxvit.data import shapes


def kinds(config):
    return {part for stage in config.parts for part in stage}


@pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
def test_every_network_names_pictures_and_is_small(config):
    model = MaxViT(config)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert sum(weight.numel() for weight in model.parameters()) < 1_500_000


def test_networks_hold_what_they_are_named_after():
    assert kinds(NETWORKS["block attention only"]) == {PooledConvs, BlockAttention}
    assert kinds(NETWORKS["grid attention only"]) == {PooledConvs, GridAttention}
    assert kinds(NETWORKS["convolutions only"]) == {PooledConvs}
    assert kinds(NETWORKS["ResNet"]) == {Residual}
    assert kinds(replace(COMPACT, **TRICKS["MBConv, expansion 2"]["network"])) == {MBConv, *MAX_SA}
    for name in ("block attention only", "grid attention only"):
        lengths = [len(stage) for stage in NETWORKS[name].parts]
        assert lengths == [len(stage) for stage in COMPACT.parts]


def test_the_vit_attends_to_all_of_its_map_six_times():
    vit = MaxViT(NETWORKS["ViT"])
    assert vit.features(torch.zeros(1, 3, 32, 32))[-1].shape == (1, 96, 8, 8)
    assert vit.config.window == 8
    layers = [part for part in vit.modules() if isinstance(part, BlockAttention)]
    assert len(layers) == 6 and kinds(vit.config) == {BlockAttention}


@pytest.mark.parametrize("stride", [1, 2])
def test_the_block_of_the_resnet_is_its_steps_written_out(stride):
    part = randomise(Residual(8, 6, stride)).eval()
    x = noise(3, 8, 5, 7)
    y = part.conv1(F.gelu(normalised(x, part.norm1)))
    y = part.conv2(F.gelu(normalised(y, part.norm2)))
    torch.testing.assert_close(part(x), part.shortcut(x) + y)
    assert y.shape == (3, 6, 5, 7) if stride == 1 else (3, 6, 3, 4)


def test_coins_fall_anew_every_epoch():
    first, second = coins(0, 1000, 0, "cpu"), coins(1, 1000, 0, "cpu")
    assert 400 < (first ^ second).sum() < 600  # alternating flip would give 1,000


@pytest.mark.parametrize("change", TRICKS.values(), ids=TRICKS)
def test_every_trick_can_be_tried(change):
    assert set(change) <= {"network", "recipe", "training"}
    assert (
        MaxViT(replace(COMPACT, **change.get("network", {})))(torch.zeros(1, 3, 32, 32))
        .isfinite()
        .all()
    )
    changed = replace(RECIPE, **change.get("recipe", {}))
    for name in change.get("training", {}):
        assert callable(getattr(training, name))
    differs = changed != RECIPE or change.get("network") or change.get("training")
    assert bool(differs) == bool(change)


def test_what_a_trick_changes_in_training_is_undone_even_after_an_error():
    before = training.whiten
    with pytest.raises(RuntimeError), changed({"whiten": leave_as_it_is}):
        assert training.whiten is leave_as_it_is
        raise RuntimeError
    assert training.whiten is before


def test_steps_are_counted_by_the_median_of_their_times(monkeypatch):
    names, now, taken = ["ViT", "ResNet"], 0.0, []

    class Clocked:
        def __init__(self, config, recipe, machine, pictures):
            self.recipe, self.gradients = recipe, nullcontext()
            self.seconds = 0.5 if config == NETWORKS["ViT"] else 2.0

    def step(run, images, labels):
        nonlocal now
        taken.append(run.seconds)
        first = taken.count(run.seconds) <= 2
        now += 60 if first or len(taken) == 13 else run.seconds  # warming up, and a hiccup

    monkeypatch.setattr(equal_time, "Run", Clocked)
    monkeypatch.setattr(equal_time, "cifar10", lambda: shapes(training=4, test=2))
    monkeypatch.setattr(training, "_step", step)
    monkeypatch.setattr(equal_time.time, "perf_counter", lambda: now)
    assert equal_time.count_steps("networks", names, 30) == {"ViT": 60, "ResNet": 15}
    assert taken != len(taken) // 2 * taken[:2]  # nobody always follows the same one


def asked(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["equal_time.py", "networks", *arguments])
    with pytest.raises(SystemExit) as refusal:
        equal_time.main()
    return refusal.value.code


def test_rows_that_nobody_knows_are_refused(monkeypatch, capsys):
    assert asked(monkeypatch, "--names", "ViT", "CNN") == 2
    assert "no rows are called CNN; choose of MaxViT (compact), " in capsys.readouterr().err


def test_rows_whose_steps_a_record_did_not_count_beside_the_others_are_refused(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(equal_time, "RESULTS", tmp_path)
    record = tmp_path / "equal-time-networks-30-s.json"
    record.write_text(json.dumps({"seconds": 30, "steps": {"ViT": 60}}))
    message = asked(monkeypatch, "--seconds", "30", "--names", "ViT", "ResNet")
    assert message == f"{record} counts no steps of ResNet: remove it, or leave them out"
