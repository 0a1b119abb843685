"""What is compared is what its name says, and differs from compact or its recipe in that alone."""

import json
import sys
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import asdict, replace

import equal_time
import family
import pytest
import recipe_changes
import torch
from equal_time import COMPACT, NETWORKS, RECIPE

from minimaxvit import MAX_SA, BlockAttention, GridAttention, MaxViT, MBConv
from minimaxvit.datasets import load_shapes
from minimaxvit.relatives import GlobalAttention, PooledConvs, ResidualUnit


def kinds(name):
    return {part for stage in NETWORKS[name].parts for part in stage}


@pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
def test_every_network_classifies_images_and_is_small(config):
    model = MaxViT(config)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert sum(weight.numel() for weight in model.parameters()) < 1_500_000


def test_networks_hold_what_they_are_named_after():
    assert kinds("MaxViT (compact)") == {MBConv, *MAX_SA}
    assert kinds("block attention only") == {MBConv, BlockAttention}
    assert kinds("grid attention only") == {MBConv, GridAttention}
    assert kinds("MBConv only") == {MBConv}
    assert kinds("hybrid") == {PooledConvs, *MAX_SA}
    assert kinds("dense convolutions only") == {PooledConvs}
    assert kinds("ResNet") == {ResidualUnit}
    assert kinds("ViT") == {GlobalAttention}
    for name in ("block attention only", "grid attention only"):
        lengths = [len(stage) for stage in NETWORKS[name].parts]
        assert lengths == [len(stage) for stage in COMPACT.parts]
        assert replace(NETWORKS[name], parts=COMPACT.parts) == COMPACT


@pytest.mark.parametrize("name", recipe_changes.CHANGES)
def test_every_change_of_the_recipe_is_one_and_can_be_made(name):
    changes = recipe_changes.CHANGES[name]
    recipe = replace(RECIPE, **changes)
    different = {key for key, value in asdict(recipe).items() if value != asdict(RECIPE)[key]}
    assert different == set(changes) and (name == "the recipe") == (not changes)


def test_every_row_of_the_recipe_trains_long_enough_to_show_something():
    epochs = recipe_changes.STEPS * RECIPE.batch_size / recipe_changes.TRAIN_SIZE
    assert recipe_changes.STEPS >= 1000 and epochs >= 8 and len(recipe_changes.CHANGES) <= 10


def test_steps_are_counted_by_the_median_of_their_times(monkeypatch):
    names, now, taken = ["ViT", "ResNet"], 0.0, []

    class Clocked:
        def __init__(self, config, recipe, device, images):
            self.recipe, self.gradients = recipe, nullcontext()
            self.seconds = 0.5 if config == NETWORKS["ViT"] else 2.0

    def step(run, images, labels):
        nonlocal now
        taken.append(run.seconds)
        first = taken.count(run.seconds) <= 2
        now += 60 if first or len(taken) == 13 else run.seconds  # warming up, and a hiccup

    monkeypatch.setattr(equal_time, "Run", Clocked)
    monkeypatch.setattr(equal_time, "load_cifar10", lambda: load_shapes(train_size=4, test_size=2))
    monkeypatch.setattr(equal_time, "train_step", step)
    monkeypatch.setattr(equal_time.time, "perf_counter", lambda: now)
    assert equal_time.count_steps({name: NETWORKS[name] for name in names}, 30) == {
        "ViT": 60,
        "ResNet": 15,
    }
    assert taken != len(taken) // 2 * taken[:2]  # nobody always follows the same one


def test_what_is_counted_on_a_faster_day_is_scaled_by_compact(monkeypatch):
    today = {"compact": 800, "swin": 1200, "nat": 160}
    monkeypatch.setattr(
        family, "count_steps", lambda networks, seconds: {name: today[name] for name in networks}
    )
    earlier = {"compact": 600, "vit": 650}
    counted = family.count_more({name: family.NETWORKS[name] for name in ("swin", "nat")}, earlier)
    assert counted == {"compact": 600, "vit": 650, "swin": 900, "nat": 120}
    first = family.count_more({"nat": family.NETWORKS["nat"]}, {})
    assert first == {"compact": 800, "nat": 160}


class Here:
    """A pool that does in this process what it is given."""

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, work, *arguments):
        done = Future()
        done.set_result(work(*arguments))
        return done


def test_a_network_joins_the_family_with_its_scaled_count(monkeypatch, tmp_path):
    record = tmp_path / "family-240-s.json"
    record.write_text(json.dumps({"seconds": 240, "steps": {"compact": 600}}))
    today = {"compact": 800, "nat": 160}
    monkeypatch.setattr(family, "count_steps", lambda *_: today)
    monkeypatch.setattr(family, "ProcessPoolExecutor", Here)
    monkeypatch.setitem(family.PATHS, "seconds", record)
    trained = []
    monkeypatch.setattr(family, "run_all", lambda path, kept, todo, *_: trained.extend(todo))
    monkeypatch.setattr(sys, "argv", ["family.py", "seconds", "--names", "nat", "--seeds", "4"])
    family.main()
    assert trained == [("nat", 4, 120, None, "family-seconds")]
    assert json.loads(record.read_text())["steps"] == {"compact": 600, "nat": 120}


def test_a_row_trains_with_its_recipe_and_leaves_no_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    training, test = load_shapes(train_size=96, test_size=20)
    recipe = replace(RECIPE, steps=2, batch_size=32, seed=3)
    row = equal_time.row(replace(COMPACT, dims=(32, 32, 32)), recipe, training, test)
    assert (row["seed"], row["steps"], row["source"]) == (3, 2, "shapes")
    assert row["epochs"] == 2 * 32 / 96 and 0 <= row["result"]["accuracy"] <= 1
    assert list((tmp_path / "runs").iterdir()) == []


def asked(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["equal_time.py", *arguments])
    with pytest.raises(SystemExit) as refusal:
        equal_time.main()
    return refusal.value.code


def test_rows_that_nobody_knows_are_refused(monkeypatch, capsys):
    assert asked(monkeypatch, "--names", "ViT", "CNN") == 2
    assert "no rows are called CNN; choose from MaxViT (compact), " in capsys.readouterr().err


def test_rows_whose_steps_a_record_did_not_count_beside_the_others_are_refused(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(equal_time, "RESULTS", tmp_path)
    record = tmp_path / "equal-time-30-s.json"
    record.write_text(json.dumps({"seconds": 30, "steps": {"ViT": 60}}))
    message = asked(monkeypatch, "--seconds", "30", "--names", "ViT", "ResNet")
    assert message == f"{record} counts no steps of ResNet: remove it, or leave them out"
