"""Train a network: the recipe, the loop, and what a run leaves behind.

A run lives in a folder: `checkpoint.pt` after each epoch, `model.safetensors` and `record.json` at
its end. Every epoch draws its chances from a seed of its own, so that a run which was killed goes
on from its last checkpoint as if nothing had happened, to the last bit on a CPU.
"""

import json
import platform
import sys
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn
from tqdm import tqdm

from .augmentation import augment, mirrored_in
from .data import normalise
from .evaluation import evaluate, judge
from .machine import Gradients, choose_machine
from .mbconv import Conv3x3
from .muon import Muon
from .network import MaxViT
from .weights import describe, save, write_whole
from .whitening import whiten

CHECKPOINT, WEIGHTS, RECORD = "checkpoint.pt", "model.safetensors", "record.json"
LOOK_EVERY = 10  # steps between looks at the loss: on a GPU each look waits for it
STATISTICS = 1000  # training pictures from which the averaged network gets its batch statistics
WHITENING = 5000  # training pictures from which the first convolution is set


def option(default, meaning):
    """A field with a few words on it, which the command line tells as well."""
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Recipe:
    """How to train. Raises ValueError for what cannot be, such as a batch of none."""

    epochs: int = option(4, "passes over the training pictures")
    steps: int | None = option(None, "stop after so many batches; overrules the epochs")
    batch_size: int = option(256, "pictures a step")
    muon_rate: float = option(0.02, "highest learning rate of Muon")
    adam_rate: float = option(8e-3, "highest learning rate of AdamW")
    weight_decay: float = option(0.1, "of convolution and linear weights")
    warm_up: float = option(0.1, "share of steps in which the rates rise, before they fall to 0")
    label_smoothing: float = option(0.1, "share of the label spread over all classes")
    averaging: float = option(0.05, "share of the run over which the weights are averaged")
    clip: float = option(1.0, "largest norm of the gradient")
    shift: int = option(2, "pixels a picture may move either way")
    hole: int = option(0, "side of the square cut out of each picture, in pixels")
    validation: int = option(1000, "training pictures held out, to watch the run by")
    seed: int = option(0, "of weights, order and augmentation")

    def __post_init__(self):
        least = {"epochs": 1, "steps": 1, "batch_size": 1}
        for name, value in asdict(self).items():
            if value is not None and value < least.get(name, 0):
                raise ValueError(f"{name} must be at least {least.get(name, 0)}, got {value}")
        for name in ("warm_up", "label_smoothing", "averaging"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} is a share, at most 1, got {getattr(self, name)}")


def fit(config, training, test, recipe, folder, machine=None, command=None):
    """Train a MaxViT of `config` and return its record, which is also written to `folder`.

    `training` and `test` are `Pictures`. If `folder` holds a checkpoint of this very run, it
    goes on from there; if of another, ValueError. A loss not finite raises FloatingPointError.
    """
    folder, machine = Path(folder), machine or choose_machine()
    side = min(training.images.shape[2:])
    if recipe.hole > side or recipe.shift >= side:
        raise ValueError(
            f"hole {recipe.hole} or shift {recipe.shift} is too large for pictures of {side} pixels"
        )
    settings = {
        "config": describe(config),
        "recipe": asdict(recipe),
        "data": _describe_data(training, test, recipe),
    }
    if (folder / RECORD).is_file():
        record = json.loads((folder / RECORD).read_text())
        _refuse_another_run(folder, record, settings)
        (folder / CHECKPOINT).unlink(missing_ok=True)  # it was killed just before the end
        return record
    train_on, watch = training[recipe.validation :], training[: recipe.validation]
    train_on, watch = train_on.to(machine.device), watch.to(machine.device)
    with torch.random.fork_rng():  # whoever calls keeps the chances they had
        run = Run(config, recipe, machine, train_on)
        if (folder / CHECKPOINT).is_file():
            run.resume(folder / CHECKPOINT, settings)
        with run.gradients:
            _train(run, train_on, watch, settings, folder)

    model = run.averaged_model(train_on)
    judged = judge(model, test.to(machine.device))
    save(model.cpu(), folder / WEIGHTS)
    record = settings | {
        "command": command,
        "seed": recipe.seed,
        "versions": {name: version(name) for name in ("minimaxvit", "torch", "numpy")}
        | {"python": platform.python_version()},
        "machine": machine.describe(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "history": run.history,
        "result": judged.pop("result") | {"seconds": run.history[-1]["seconds"]},
        **judged,
    }
    text = json.dumps(record, indent=1)
    write_whole(folder / RECORD, lambda partial: partial.write_text(text))
    (folder / CHECKPOINT).unlink()
    return record


class Run:
    """Everything that changes while training, and what a checkpoint must therefore hold."""

    def __init__(self, config, recipe, machine, pictures):
        self.recipe, self.machine = recipe, machine
        self.steps_an_epoch = len(pictures) // recipe.batch_size
        if self.steps_an_epoch < 1:
            raise ValueError(f"{len(pictures)} pictures do not fill a batch of {recipe.batch_size}")
        self.steps = recipe.steps or recipe.epochs * self.steps_an_epoch
        torch.manual_seed(recipe.seed)
        self.model = MaxViT(config).to(machine.device)
        whiten(self.model.stem.conv1, normalise(pictures.images[:WHITENING]))
        averaged = max(1, recipe.averaging * self.steps)  # so many steps back
        average = get_ema_multi_avg_fn(1 - 1 / averaged)
        self.average = AveragedModel(self.model, multi_avg_fn=average)
        self.gradients = Gradients(self.model, machine)
        self.optimisers = make_optimisers(self.model, recipe)
        self.loss = partial(F.cross_entropy, label_smoothing=recipe.label_smoothing)
        self.step, self.history = 0, []

    def state(self):
        return {
            "step": self.step,
            "history": self.history,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }

    def resume(self, path, settings):
        state = torch.load(path, map_location=self.machine.device, weights_only=True)
        _refuse_another_run(path.parent, state["settings"], settings)
        self.step, self.history = state["step"], state["history"]
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)

    def averaged_model(self, pictures):
        """Give the averaged network, with batch norm's statistics taken anew from `pictures`.

        Those gathered while training are of other weights, hundreds of steps ago.
        """
        update_bn(map(normalise, pictures.images[:STATISTICS].split(500)), self.average.module)
        return self.average.module.eval()


def make_optimisers(model, recipe):
    """Give Muon the matrices inside the network and AdamW the rest.

    The rest is what is no matrix (depthwise kernels, norms, biases, tables) and what touches the
    outside: the first convolution and the last linear layer.
    """
    outer = {model.stem.conv1.weight, model.head.classify.weight}
    depthwise = {m.weight for m in model.modules() if isinstance(m, Conv3x3) and m.groups > 1}
    decayed, spared = model.parameter_groups(recipe.weight_decay)
    for group in decayed, spared:
        group["params"] = [p for p in group["params"] if p.requires_grad]
    inner = [p for p in decayed["params"] if p not in outer | depthwise]
    others = {**decayed, "params": [p for p in decayed["params"] if p in outer | depthwise]}
    muon = Muon(inner, lr=recipe.muon_rate, weight_decay=recipe.weight_decay)
    return [
        muon,
        torch.optim.AdamW([others, spared], lr=recipe.adam_rate, betas=(0.9, 0.95), fused=True),
    ]


def rate(step, steps, warm_up):
    """Share of the full learning rate at a step: up from 0 along a line, then down to 0."""
    rising = max(1, round(warm_up * steps))
    return min((step + 1) / rising, (steps - step) / max(1, steps - rising))


def _train(run, pictures, watch, settings, folder):
    started = time.perf_counter() - (run.history[-1]["seconds"] if run.history else 0)
    shown = sys.stderr.isatty()
    with tqdm(total=run.steps, initial=run.step, unit="step", disable=not shown) as bar:
        while run.step < run.steps:
            epoch = run.step // run.steps_an_epoch
            loss, accuracy = _train_epoch(run, pictures, epoch, bar, folder)
            watched = evaluate(run.averaged_model(pictures), watch)[0] if len(watch) else None
            run.history.append(
                {
                    "epoch": epoch + 1,
                    "step": run.step,
                    "loss": loss,
                    "train_accuracy": accuracy,
                    "validation_accuracy": watched,
                    "seconds": time.perf_counter() - started,
                }
            )
            state = run.state() | {"settings": settings}
            write_whole(
                folder / CHECKPOINT, lambda partial, state=state: torch.save(state, partial)
            )
            if not shown:
                print(_line(run), flush=True)


def _train_epoch(run, pictures, epoch, bar, folder):
    """Train to the end of the epoch, or of the budget. Returns mean loss and accuracy."""
    recipe, device = run.recipe, run.machine.device
    torch.manual_seed(recipe.seed * 1_000_003 + epoch)
    generator = torch.Generator(device).manual_seed(recipe.seed * 1_000_003 + epoch)
    order = torch.randperm(len(pictures), generator=generator, device=device)
    end = min((epoch + 1) * run.steps_an_epoch, run.steps)
    mirrored = mirrored_in(epoch, len(pictures), recipe.seed, device)
    losses, right, first = [], 0, run.step
    for batch in order.split(recipe.batch_size)[: end - first]:
        images, turned = pictures.images[batch], mirrored[batch]
        images = augment(images, turned, generator, recipe.shift, recipe.hole)
        loss, hits = _step(run, normalise(images), pictures.labels[batch])
        losses.append(loss)
        right += hits
        run.step += 1
        bar.update()
        if run.step % LOOK_EVERY == 0 or run.step == end:
            _stop_if_not_finite(losses, first, folder)
            seen = len(losses) * recipe.batch_size
            bar.set_postfix(loss=f"{losses[-1]:.3f}", accuracy=f"{right / seen:.3f}")
    return torch.stack(losses).mean().item(), right.item() / (len(losses) * recipe.batch_size)


def _step(run, images, labels):
    recipe = run.recipe
    share = rate(run.step, run.steps, recipe.warm_up)
    for optimiser, full in zip(run.optimisers, (recipe.muon_rate, recipe.adam_rate), strict=True):
        for group in optimiser.param_groups:
            group["lr"] = full * share
    loss, logits = run.gradients(run.loss, images, labels)
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), recipe.clip)
    with run.machine.autocast():  # for Muon's matrices bf16 will do (Jordan et al. 2024)
        for optimiser in run.optimisers:
            optimiser.step()
    run.average.update_parameters(run.model)
    return loss, (logits.argmax(1) == labels).sum()


def _stop_if_not_finite(losses, first, folder):
    bad = (~torch.isfinite(torch.stack(losses))).nonzero()
    if len(bad):
        kept = folder / CHECKPOINT
        good = f"the last good checkpoint is {kept}" if kept.is_file() else "no checkpoint yet"
        raise FloatingPointError(
            f"the loss is {losses[bad[0]].item()} at step {first + bad[0].item() + 1}; {good}; "
            f"try a lower learning rate"
        )


def _refuse_another_run(folder, found, settings):
    for part, wanted in settings.items():
        different = [name for name in wanted if found[part].get(name) != wanted[name]]
        if different:
            raise ValueError(
                f"{folder} holds another run: its {part} differs in {', '.join(different)}; name "
                f"another folder, or remove this one"
            )


def _describe_data(training, test, recipe):
    return {
        "source": training.source,
        "classes": list(training.classes),
        "sha256": [training.sha256(), test.sha256()],
        "training": len(training) - recipe.validation,
        "validation": recipe.validation,
        "test": len(test),
    }


def _line(run):
    last = run.history[-1]
    watched = last["validation_accuracy"]
    return (
        f"epoch {last['epoch']}: step {last['step']} of {run.steps}, loss {last['loss']:.3f}, "
        f"accuracy {last['train_accuracy']:.3f} in training"
        + (f", {watched:.3f} on held-out pictures" if watched is not None else "")
        + f", {last['seconds']:.0f} s"
    )
