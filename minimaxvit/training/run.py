"""A training run: the loop, and what it leaves behind.

A run lives in a folder: `checkpoint.pt` after each epoch, `model.safetensors` and `record.json` at
its end. Every epoch draws from a random state of its own, so a run that was killed goes on from its
last checkpoint as if nothing had happened, to the last bit on a CPU.
"""

import platform
import sys
import time
from copy import deepcopy
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm import tqdm

from ..locked import locked
from ..network import MaxViT
from ..weights import describe, save
from .augmentation import alternating_flip, augment, random_flip
from .cuda_graph import CapturedStep
from .device import DataParallelGradients, choose_device
from .evaluation import evaluate, evaluation_record
from .folder import (
    CHECKPOINT,
    RECORD,
    WEIGHTS,
    check_room,
    read_checkpoint,
    read_record,
    refuse_another_run,
    refuse_stray_weights,
    write_checkpoint,
    write_record,
)
from .optimizers import first_convolution, lr_schedule, make_optimizers, set_lr
from .statistics import take_statistics
from .whitening import whiten

LOOK_EVERY = 10  # steps between looks at the loss: on a GPU each look waits for it
STATISTICS = 1000  # training images that give the averaged network its batch-norm statistics
WHITENING = 5000  # training images whose patches the first convolution whitens


def fit(config, training, test, recipe, folder, device=None, command=None):
    """Train a MaxViT of `config` and return its record, which is also written to `folder`.

    `training` and `test` are `LabeledImages`. The network is saved as one for images of their size.
    If `folder` holds a checkpoint of this very run, it goes on from there; if of another, or if
    another process works in it, ValueError. FloatingPointError if the loss is not finite.
    """
    folder, device = Path(folder).expanduser(), device or choose_device()
    _check(config, training, test, recipe)
    h, w = training.images.shape[2:]
    if h == w:
        config = replace(config, image_size=h)
    settings = {
        "config": describe(config),
        "recipe": asdict(recipe),
        "data": _describe_data(training, test, recipe),
    }
    with locked(folder):
        if not (folder / RECORD).exists():
            return _fit(config, training, test, recipe, folder, device, command, settings)
        record = read_record(folder)
        refuse_another_run(folder, record, settings)
        (folder / CHECKPOINT).unlink(missing_ok=True)  # it was killed just before the end
        return record


def _fit(config, training, test, recipe, folder, device, command, settings):
    versions = {name: _version(name) for name in ("minimaxvit", "torch", "numpy")}
    refuse_stray_weights(folder)
    train_on, val = hold_out(training, recipe.val_size, recipe.seed)
    train_on, val = train_on.to(device.name), val.to(device.name)
    with torch.random.fork_rng():  # the caller's random state stays as it was
        run = Run(config, recipe, device, train_on)
        check_room(folder, run.model)
        if (folder / CHECKPOINT).exists():
            run.resume(folder, settings)
        with run.gradients:
            _train(run, train_on, val, settings, folder)

    model = run.averaged_model(train_on)
    evaluated = evaluation_record(model, test.to(device.name))
    save(model.cpu(), folder / WEIGHTS)
    record = settings | {
        "command": command,
        "seed": recipe.seed,
        "versions": versions | {"python": platform.python_version()},
        "machine": device.describe(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "history": run.history,
        "result": evaluated.pop("result") | {"seconds": run.history[-1]["seconds"]},
        **evaluated,
    }
    write_record(folder, record)
    (folder / CHECKPOINT).unlink()
    return record


def hold_out(training, count, seed):
    """Draw `count` images to validate on: (those left to train on, those drawn).

    The first ones would all be of one class where images are sorted by class.
    """
    order = torch.randperm(len(training), generator=torch.Generator().manual_seed(seed))
    return training[order[count:].sort().values], training[order[:count].sort().values]


def evenly(images, count):
    """Take at most `count` images, all over the set."""
    return images[torch.linspace(0, len(images) - 1, min(count, len(images))).round().long()]


class Run:
    """Everything that changes while training, and what a checkpoint must therefore hold."""

    def __init__(self, config, recipe, device, images):
        self.recipe, self.device = recipe, device
        self.steps_per_epoch = len(images) // recipe.batch_size
        if self.steps_per_epoch < 1:
            raise ValueError(f"{len(images)} images do not fill a batch of {recipe.batch_size}")
        self.steps = recipe.steps or recipe.epochs * self.steps_per_epoch
        torch.manual_seed(recipe.seed)
        self.model = MaxViT(config).to(device.name)
        conv = first_convolution(self.model)
        if recipe.whiten and conv is not None and conv.groups == 1:
            whiten(conv, config.normalize(images.images[:WHITENING]))
        self.average = deepcopy(self.model)
        self.gradients = DataParallelGradients(self.model, device)
        self.optimizers = make_optimizers(self.model, recipe)
        self.loss = partial(F.cross_entropy, label_smoothing=recipe.label_smoothing)
        self.step, self.history = 0, []
        if device.name.startswith("cuda"):
            self.update = CapturedStep(self.update, self.optimizers)

    def update(self, images, labels):
        """Learn from a batch; returns its loss, and how many of its images were right."""
        loss, logits = self.gradients(self.loss, images, labels)
        most = self.recipe.grad_clip or float("inf")
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), most)
        with self.device.autocast():  # bf16 is precise enough for Muon (Jordan et al. 2024)
            for optimizer in self.optimizers:
                optimizer.step()
        self.update_average()
        return loss, (logits.argmax(1) == labels).sum()

    def update_average(self):
        """Average the weights after each step, the first of which is the first average."""
        decay = 1 - 1 / max(1, self.recipe.ema * self.steps) if self.step else 0.0
        weights = list(self.average.parameters()), list(self.model.parameters())
        get_ema_multi_avg_fn(decay)(*weights, None)

    def state(self):
        return {
            "step": self.step,
            "history": self.history,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict()["state"] for optimizer in self.optimizers],
        }

    def resume(self, folder, settings):
        """Go on from a checkpoint. ValueError if it is damaged or of another run."""

        def load(state):
            refuse_another_run(folder, state["settings"], settings)
            self.step, self.history = state["step"], state["history"]
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(optimizer.state_dict() | {"state": saved})

        read_checkpoint(folder, self.device.name, load)

    def averaged_model(self, training):
        """Give the averaged network, with its batch-norm statistics computed from images.

        Those that were gathered in training belong to other weights, hundreds of steps ago.
        """
        images = evenly(training.images, STATISTICS)
        take_statistics(self.average, images, self.recipe.seed)
        return self.average.eval()


def _train(run, training, val, settings, folder):
    started = time.perf_counter() - (run.history[-1]["seconds"] if run.history else 0)
    shown = sys.stderr.isatty()
    with tqdm(total=run.steps, initial=run.step, unit="step", disable=not shown) as bar:
        while run.step < run.steps:
            epoch = run.step // run.steps_per_epoch
            loss, accuracy = _train_epoch(run, training, epoch, bar, folder)
            val_accuracy = evaluate(run.averaged_model(training), val)[0] if len(val) else None
            run.history.append(
                {
                    "epoch": epoch + 1,
                    "step": run.step,
                    "loss": loss,
                    "train_accuracy": accuracy,
                    "val_accuracy": val_accuracy,
                    "seconds": time.perf_counter() - started,
                }
            )
            state = run.state() | {"settings": settings}
            write_checkpoint(folder, state)
            if not shown:
                print(_line(run), flush=True)


def _train_epoch(run, training, epoch, bar, folder):
    """Train to the end of the epoch, or of the budget. Returns mean loss and accuracy."""
    recipe, device = run.recipe, run.device.name
    torch.manual_seed(recipe.seed * 1_000_003 + epoch)
    generator = torch.Generator(device).manual_seed(recipe.seed * 1_000_003 + epoch)
    order = torch.randperm(len(training), generator=generator, device=device)
    end = min((epoch + 1) * run.steps_per_epoch, run.steps)
    flip = alternating_flip if recipe.alternating_flip else random_flip
    flipped = flip(epoch, len(training), recipe.seed, device)
    losses, correct, first = [], 0, run.step
    for batch in order.split(recipe.batch_size)[: end - first]:
        images = training.images[batch]
        images = augment(images, flipped[batch], generator, recipe.translate, recipe.cutout)
        loss, hits = train_step(run, run.model.config.normalize(images), training.labels[batch])
        losses.append(loss)
        correct += hits
        run.step += 1
        bar.update()
        if run.step % LOOK_EVERY == 0 or run.step == end:
            _stop_if_not_finite(losses, first, folder)
            seen = len(losses) * recipe.batch_size
            bar.set_postfix(loss=f"{losses[-1]:.3f}", accuracy=f"{correct / seen:.3f}")
    return torch.stack(losses).mean().item(), correct.item() / (len(losses) * recipe.batch_size)


def train_step(run, images, labels):
    fraction = lr_schedule(run.step, run.steps, run.recipe.warmup)
    for optimizer, highest_lr in run.optimizers.items():
        set_lr(optimizer, highest_lr * fraction)
    return run.update(images, labels)


def _check(config, training, test, recipe):
    """Raise ValueError for what cannot be trained together."""
    h, w = training.images.shape[2:]
    if not len(test) or test.images.shape[2:] != (h, w):
        raise ValueError(
            f"the {len(test)} test images are of {test.images.shape[2]} x {test.images.shape[3]} "
            f"pixels and those to train on of {h} x {w}: give some of the same size"
        )
    if len(training.classes) != config.num_classes or training.classes != test.classes:
        raise ValueError(
            f"the network has {config.num_classes} classes, the images to train on "
            f"{len(training.classes)} and the test images {len(test.classes)}: all must be the same"
        )
    if recipe.cutout > min(h, w) or recipe.translate >= min(h, w):
        raise ValueError(
            f"cutout {recipe.cutout} or translate {recipe.translate} is too large for images of "
            f"{min(h, w)} pixels"
        )


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"  # a clone that is run as it is


def _stop_if_not_finite(losses, first, folder):
    bad = (~torch.isfinite(torch.stack(losses))).nonzero()
    if len(bad):
        kept = folder / CHECKPOINT
        good = f"the last good checkpoint is {kept}" if kept.is_file() else "no checkpoint yet"
        raise FloatingPointError(
            f"the loss is {losses[bad[0]].item()} at step {first + bad[0].item() + 1}; {good}; "
            f"try a lower learning rate"
        )


def _describe_data(training, test, recipe):
    return {
        "source": training.source,
        "image_size": list(training.images.shape[2:]),
        "classes": list(training.classes),
        "sha256": [training.sha256(), test.sha256()],
        "train_size": len(training) - recipe.val_size,
        "val_size": recipe.val_size,
        "test_size": len(test),
    }


def _line(run):
    last = run.history[-1]
    val_accuracy = last["val_accuracy"]
    return (
        f"epoch {last['epoch']}: step {last['step']} of {run.steps}, loss {last['loss']:.3f}, "
        f"training accuracy {last['train_accuracy']:.3f}"
        + (f", validation accuracy {val_accuracy:.3f}" if val_accuracy is not None else "")
        + f", {last['seconds']:.0f} s"
    )
