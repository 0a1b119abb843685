"""A replayed step does what the step itself does; on a CPU, recording is pretended."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from training_helpers import SMALL

from minimaxvit.datasets import load_shapes
from minimaxvit.training import run as training
from minimaxvit.training.cuda_graph import WARM_UP, CapturedStep
from minimaxvit.training.device import choose_device
from minimaxvit.training.optimizers import set_lr
from minimaxvit.training.recipe import Recipe


def test_a_learning_rate_in_a_tensor_is_set_where_a_graph_reads_it():
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight, torch.nn.Parameter(torch.ones(2))], lr=0.5)
    set_lr(optimizer, 0.25)
    assert optimizer.param_groups[0]["lr"] == 0.25
    read = optimizer.param_groups[0]["lr"] = torch.tensor(0.5)
    set_lr(optimizer, 0.125)
    assert optimizer.param_groups[0]["lr"] is read and read.item() == 0.125


@pytest.fixture
def pretended(monkeypatch):
    """Let a CPU pretend to record and replay: a replay does the recorded step once more."""
    steps = []

    class Graph:
        def replay(self):
            for kept, new in zip(steps[0].outputs, steps[0].step(*steps[0].inputs), strict=True):
                kept.copy_(new)

    streams = SimpleNamespace(wait_stream=lambda _: None)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: streams)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: streams)
    for name in ("graph", "stream", "device"):
        monkeypatch.setattr(torch.cuda, name, lambda _: nullcontext())
    return steps


def test_every_call_answers_its_own_inputs(pretended):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))], lr=0.5)
    captured = CapturedStep(lambda x, y: (x + y, x * y), [optimizer])
    pretended.append(captured)
    inputs = [(torch.tensor([float(i)]), torch.tensor([3.0 + i])) for i in range(WARM_UP + 5)]
    outputs = []
    for number, (x, y) in enumerate(inputs):
        outputs.append(captured(x, y))
        recorded = optimizer.param_groups[0]
        assert isinstance(recorded["lr"], torch.Tensor) == (number >= WARM_UP)
    assert recorded["lr"] == 0.5 and recorded["capturable"]
    for (x, y), (total, product) in zip(inputs, outputs, strict=True):
        assert total == x + y and product == x * y  # also of calls long ago


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_replayed_steps_train_as_the_steps_themselves_do(tmp_path, monkeypatch):
    recipe = Recipe(steps=24, batch_size=32, val_size=0, ema=0.2)
    data, device = load_shapes(256, 64), choose_device("cuda", bf16=False)
    replayed = training.fit(SMALL, *data, recipe, tmp_path / "replayed", device)
    monkeypatch.setattr(training, "CapturedStep", lambda step, optimizers: step)
    plain = training.fit(SMALL, *data, recipe, tmp_path / "plain", device)
    for ours, theirs in zip(replayed["history"], plain["history"], strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-2)
