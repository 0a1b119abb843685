"""A run learns, stops when it must, and survives being killed at any moment."""

import importlib
import importlib.metadata
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from training_helpers import DEEPER, SHORT, SMALL, few_shapes

from minimaxvit import load, weights
from minimaxvit.datasets import load_shapes
from minimaxvit.pixels import normalize
from minimaxvit.training import muon, run as training
from minimaxvit.training.device import DeviceSettings, choose_device
from minimaxvit.training.evaluation import evaluation_record
from minimaxvit.training.recipe import Recipe
from minimaxvit.training.run import CHECKPOINT, RECORD, WEIGHTS, fit
from minimaxvit.training.whitening import whitening_filters

termios = importlib.import_module("termios") if os.name == "posix" else None
# Trains in a process of its own, which dies where it is told to.
DOOMED = """
import os, signal, sys, torch
sys.path.insert(0, 'tests')
from minimaxvit.training import run as training
from training_helpers import DEEPER, SHORT, few_shapes

torch.set_num_threads(1)
where, folder = sys.argv[1:]
step, save, line = training.train_step, torch.save, training._line
calls = {"step": 0, "save": 0}

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def doomed_step(*arguments):
    calls["step"] += 1
    if where == "mid-step" and calls["step"] == 9:
        arguments[0].model.stem.conv1.weight.data.zero_()  # half done
        die()
    return step(*arguments)

def doomed_save(state, path):
    calls["save"] += 1
    save(state, path)
    if where == "while writing" and calls["save"] == 2:
        os.truncate(path, os.path.getsize(path) // 2)
        die()

def doomed_line(run):
    if where == "between epochs" and run.step > 6:
        die()
    return line(run)

training.train_step, torch.save, training._line = doomed_step, doomed_save, doomed_line
training.fit(DEEPER, *few_shapes(), SHORT, folder)
"""


def train_apart(folder, where="nowhere"):
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    return subprocess.run(
        [sys.executable, "-c", DOOMED, where, str(folder)],
        cwd=root, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    ended = train_apart(folder)
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.mark.parametrize("where", ["mid-step", "between epochs", "while writing"])
def test_a_killed_run_goes_on_and_ends_bit_identical(where, undisturbed, tmp_path):
    killed = train_apart(tmp_path, where)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / WEIGHTS).exists() and not (tmp_path / RECORD).exists()
    first_epochs = torch.load(tmp_path / CHECKPOINT, weights_only=True)["history"]
    assert first_epochs, "it was killed before its first checkpoint: nothing is tested"

    resumed = train_apart(tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "epoch 1:" not in resumed.stdout
    expected = load_file(undisturbed / WEIGHTS)
    for name, tensor in load_file(tmp_path / WEIGHTS).items():
        assert torch.equal(tensor, expected[name]), name
    assert without_times(tmp_path) == without_times(undisturbed)
    assert {path.name for path in tmp_path.iterdir()} == {WEIGHTS, RECORD}


def without_times(folder):
    record = json.loads((folder / RECORD).read_text())
    del record["result"]["seconds"]
    for epoch in record["history"]:
        del epoch["seconds"]
    return record


def test_a_finished_run_is_not_run_again(undisturbed):
    before = {path.name: path.stat().st_mtime_ns for path in undisturbed.iterdir()}
    record = fit(DEEPER, *few_shapes(), SHORT, undisturbed)
    assert record == json.loads((undisturbed / RECORD).read_text())
    assert {path.name: path.stat().st_mtime_ns for path in undisturbed.iterdir()} == before


def test_a_folder_with_another_run_is_refused(undisturbed):
    another = Recipe(**{**vars(SHORT), "muon_lr": 0.5, "seed": 3})
    with pytest.raises(ValueError, match="another run: its recipe differs in muon_lr, seed"):
        fit(DEEPER, *few_shapes(), another, undisturbed)
    with pytest.raises(ValueError, match="its data differs in sha256"):
        fit(DEEPER, *few_shapes()[::-1], SHORT, undisturbed)


def test_a_run_leaves_a_record_and_a_network_and_nothing_else(undisturbed):
    assert {path.name for path in undisturbed.iterdir()} == {WEIGHTS, RECORD}
    record = json.loads((undisturbed / RECORD).read_text())
    assert record["seed"] == 0 and record["recipe"]["epochs"] == 3
    assert record["data"]["source"] == "shapes" and record["data"]["train_size"] == 96
    assert record["data"]["sha256"] == [pictures.sha256() for pictures in few_shapes()]
    assert record["versions"]["torch"] == torch.__version__
    assert [epoch["step"] for epoch in record["history"]] == [6, 12, 18]
    evaluated = evaluation_record(load(undisturbed / WEIGHTS), few_shapes()[1])
    del record["result"]["seconds"]
    assert evaluated == {key: record[key] for key in evaluated}


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(
    tmp_path, monkeypatch
):
    seen = itertools.count(1)

    def poisoned(images):
        return normalize(images) * (float("nan") if next(seen) == 11 else 1)  # the first whitens

    monkeypatch.setitem(weights.KINDS, "poisoned", poisoned)
    recipe = Recipe(**{**vars(SHORT), "val_size": 0})
    with pytest.raises(FloatingPointError) as stopped:
        fit(replace(SMALL, normalize=poisoned), *few_shapes(96), recipe, tmp_path)
    assert "nan at step 10" in str(stopped.value)
    assert str(tmp_path / CHECKPOINT) in str(stopped.value)
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert state["step"] == 6
    assert all(tensor.isfinite().all() for tensor in state["model"].values())


def test_training_learns_to_classify_shapes(tmp_path):
    recipe = Recipe(epochs=50, batch_size=16, val_size=0, cutout=0, translate=0)
    record = fit(replace(SMALL, drop_path=0.0), *few_shapes(64), recipe, tmp_path)
    assert record["history"][0]["train_accuracy"] < 0.3
    assert record["history"][-1]["train_accuracy"] > 0.8


@pytest.mark.parametrize("steps, epochs_seen", [(3, [3]), (7, [6, 7]), (12, [6, 12])])
def test_a_budget_may_be_counted_in_steps(steps, epochs_seen, tmp_path):
    recipe = Recipe(**{**vars(SHORT), "steps": steps})
    record = fit(SMALL, *few_shapes(), recipe, tmp_path)
    assert [epoch["step"] for epoch in record["history"]] == epochs_seen


def test_a_batch_that_cannot_be_filled_is_refused(tmp_path):
    with pytest.raises(ValueError, match="32 images do not fill a batch of 64"):
        fit(SMALL, *few_shapes(32), Recipe(batch_size=64, val_size=0), tmp_path)
    assert not list(tmp_path.iterdir())


def test_training_leaves_the_random_state_of_its_caller_alone(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(SMALL, *few_shapes(), Recipe(**{**vars(SHORT), "steps": 1}), tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_the_first_convolution_whitens_and_stays_as_it_was_set(tmp_path):
    pictures, test = few_shapes()
    recipe = Recipe(**{**vars(SHORT), "steps": 4, "val_size": 0})
    run = training.Run(SMALL, recipe, DeviceSettings("cpu", bf16=False), pictures)
    set_to = run.model.stem.conv1.weight.clone()
    filters = whitening_filters(normalize(pictures.images))
    torch.testing.assert_close(set_to[:27].flatten(1), filters)
    fit(SMALL, pictures, test, recipe, tmp_path)
    assert torch.equal(load(tmp_path / WEIGHTS).stem.conv1.weight, set_to)


@pytest.mark.parametrize("bf16", [False, True])
def test_muon_multiplies_in_the_precision_of_the_device_settings(bf16, tmp_path, monkeypatch):
    told = []

    def orthogonalize(matrices):
        told.append((matrices @ matrices.mT).dtype)
        return matrices

    monkeypatch.setattr(muon, "orthogonalize", orthogonalize)
    fit(SMALL, *few_shapes(), replace(SHORT, steps=1), tmp_path, DeviceSettings("cpu", bf16))
    assert told and set(told) == {torch.bfloat16 if bf16 else torch.float32}


def test_the_average_lags_behind_the_weights():
    run = training.Run(
        SMALL,
        Recipe(ema=0.1, steps=100, batch_size=8),
        DeviceSettings("cpu", bf16=False),
        few_shapes()[0],
    )
    weight, averaged = run.model.head.hidden.weight, run.average.head.hidden.weight
    start = weight.detach().clone()
    run.update_average()
    with torch.no_grad():
        weight.add_(1)
    run.step = 1
    run.update_average()
    torch.testing.assert_close(averaged, start + 0.1)


def test_the_averaged_network_gets_batch_statistics_of_its_own_weights():
    run = training.Run(SMALL, SHORT, DeviceSettings("cpu", bf16=False), few_shapes()[0])
    pictures, _ = few_shapes()
    model = run.averaged_model(pictures)
    inputs = model.stem.conv1(normalize(pictures.images))
    torch.testing.assert_close(model.stem.norm.running_mean, inputs.mean((0, 2, 3)))
    torch.testing.assert_close(model.stem.norm.running_var, inputs.var((0, 2, 3)))
    assert not model.training and model.stem.norm.momentum == 0.01


@pytest.mark.skipif(not termios, reason="this system has no terminals of this kind")
def test_a_terminal_gets_a_bar_with_loss_accuracy_and_time_left(tmp_path):
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    lines = tmp_path / "lines"
    with open(lines, "wb") as stdout:
        command = [sys.executable, "-c", DOOMED, "nowhere", str(tmp_path / "run")]
        root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
        started = subprocess.Popen(command, cwd=root, stdout=stdout, stderr=theirs)
    os.close(theirs)
    shown = b""
    while part := read_until_closed(ours):
        shown += part
    assert started.wait() == 0 and lines.read_bytes() == b""
    last = [text for text in shown.decode().split("\r") if text.strip()][-1]
    assert re.search(r"18/18 \[\d\d:\d\d<\d\d:\d\d", last), last
    assert re.search(r"accuracy=\d\.\d{3}, loss=\d\.\d{3}", last), last


def read_until_closed(terminal):
    try:
        return os.read(terminal, 10_000)
    except OSError:  # Linux says so when the other end is closed
        return b""


@pytest.mark.slow
def test_a_compiled_network_trains_too(tmp_path, monkeypatch):
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model: compile_(model, backend="eager"))
    machine = choose_device("cpu", bf16=False, compile=True)
    recipe = Recipe(**{**vars(SHORT), "steps": 2})
    compiled = fit(SMALL, *few_shapes(), recipe, tmp_path / "compiled", machine)
    plain = fit(SMALL, *few_shapes(), recipe, tmp_path / "plain", choose_device("cpu", False))
    assert compiled["history"][0]["loss"] == pytest.approx(plain["history"][0]["loss"], abs=1e-3)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("compile", [False, True])
def test_the_same_path_trains_on_a_gpu(compile, tmp_path):
    machine = choose_device("cuda", compile=compile)
    training_set, test = load_shapes(2000, 500)
    record = fit(SMALL, training_set, test, Recipe(epochs=3, val_size=100), tmp_path, machine)
    assert record["machine"]["gpu"]
    assert record["history"][-1]["loss"] < record["history"][0]["loss"]
    assert load(tmp_path / WEIGHTS).config == SMALL


def enlarged(data, side):
    images = torch.nn.functional.interpolate(data.images.float(), (side, side)).byte()
    return replace(data, images=images)


def test_a_network_is_saved_as_one_for_the_images_that_it_was_trained_on(tmp_path):
    large = [enlarged(data, 64) for data in few_shapes()]
    record = fit(SMALL, *large, replace(SHORT, steps=1), tmp_path)
    assert record["data"]["image_size"] == [64, 64]
    assert load(tmp_path / WEIGHTS).config == replace(SMALL, image_size=64)


def test_images_held_out_are_drawn_from_all_over_the_set():
    training_set, _ = few_shapes(100)
    by_class = training_set[training_set.labels.sort(stable=True).indices]
    left, held_out = training.hold_out(by_class, 30, seed=0)
    assert len(left) == 70 and len(held_out) == 30
    assert len(held_out.labels.unique()) >= 8, "one class after another would be held out"
    whole = torch.cat([left.images, held_out.images]).flatten(1).double().sum(1).sort().values
    assert torch.equal(whole, by_class.images.flatten(1).double().sum(1).sort().values)
    again = training.hold_out(by_class, 30, seed=0)[1]
    assert torch.equal(again.labels, held_out.labels)
    assert not torch.equal(training.hold_out(by_class, 30, seed=1)[1].images, held_out.images)
    assert torch.equal(training.hold_out(by_class, 0, seed=0)[0].images, by_class.images)


def test_statistics_are_of_images_from_all_over_the_set():
    images = torch.arange(10_000).view(-1, 1)
    taken = training.evenly(images, 1000).flatten()
    assert len(taken) == 1000 and taken[0] == 0 and taken[-1] == 9999
    assert (taken.diff() - 10).abs().max() <= 1
    assert torch.equal(training.evenly(images, 20_000), images)


HOLD = """
import sys, time
from pathlib import Path
from minimaxvit.locked import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(100)
"""


def test_a_folder_is_held_by_one_process_until_it_dies(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    one = replace(SHORT, steps=1)
    with pytest.raises(ValueError, match="another process is at work"):
        fit(SMALL, *few_shapes(), one, tmp_path)
    assert not (tmp_path / RECORD).exists()
    holder.kill()
    holder.wait()
    fit(SMALL, *few_shapes(), one, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {WEIGHTS, RECORD}


def test_a_clone_that_is_not_installed_trains_to_the_end(tmp_path, monkeypatch):
    def version(name):
        if name == "minimaxvit":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(training, "version", version)
    record = fit(SMALL, *few_shapes(), replace(SHORT, steps=1), tmp_path)
    assert record["versions"]["minimaxvit"] == "not installed"


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    save, calls = torch.save, itertools.count(1)

    def fills_up(state, path):
        if next(calls) == 2:
            path.write_bytes(b"half of it")
            raise RuntimeError("file write failed\nno space left on device")
        save(state, path)

    monkeypatch.setattr(torch, "save", fills_up)
    with pytest.raises(OSError, match="cannot be written: file write failed; the one of an epoch"):
        fit(SMALL, *few_shapes(), SHORT, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["step"] == 6
    fit(SMALL, *few_shapes(), SHORT, tmp_path)
    assert (tmp_path / RECORD).is_file()


@pytest.mark.parametrize(
    "error", [OSError(5, "Input/output error"), torch.OutOfMemoryError("full")]
)
def test_a_checkpoint_is_not_blamed_for_what_is_wrong_elsewhere(error, tmp_path, monkeypatch):
    def load(*_, **__):
        raise error

    (tmp_path / CHECKPOINT).write_bytes(b"days of work")
    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(type(error)) as caught:
        fit(SMALL, *few_shapes(), SHORT, tmp_path)
    assert caught.value is error and (tmp_path / CHECKPOINT).read_bytes() == b"days of work"
