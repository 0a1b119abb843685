"""Compare networks, or recipes, that all train for the same time on one core each.

    python benchmarks/equal_time.py networks --seconds 240 --seeds 0 1 2
    python benchmarks/equal_time.py networks --seconds 1440 --seeds 0 1 \\
        --names 'MaxViT (compact)' 'convolutions only'
    python benchmarks/equal_time.py tricks --seconds 240 --seeds 0

`networks` is measured on CIFAR-10's test pictures; `tricks`, by which to choose a recipe, on 5,000
training pictures held out. First it measures how long a step of each takes, interleaved on a quiet
core, and so how many steps fit; what runs beside it later changes nothing. Rows already in
benchmarks/results/ are not measured again.
"""

import argparse
import json
import os
import shlex
import shutil
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F
from torch import nn

from minimaxvit import (
    CONFIGS,
    MAX_SA,
    BlockAttention,
    GridAttention,
    MaxViTConfig,
    MBConv,
    PooledConvs,
    training,
)
from minimaxvit.allocator import keep_memory
from minimaxvit.augmentation import mirrored_in
from minimaxvit.data import cifar10, normalise
from minimaxvit.machine import choose_machine
from minimaxvit.mbconv import BatchNorm, Conv3x3, Downsample
from minimaxvit.network import Stem
from minimaxvit.training import Recipe, Run, fit
from minimaxvit.weights import write_whole

RESULTS = Path(__file__).parent / "results"
HELD_OUT = 5000
COMPACT = CONFIGS["compact"]
RECIPE = Recipe(validation=0)


class Residual(nn.Module):
    """Mix neighbours and channels at once, twice, and add the shortcut; in the place of MBConv.

    Shapes: (b, c, h, w) -> (b, c', ceil(h / stride), ceil(w / stride)). Source: He et al. 2016,
    "Identity Mappings in Deep Residual Networks", figure 1 (b), with GELU.
    """

    def __init__(self, in_channels, channels, stride=1, expansion=None, drop_rate=None):
        super().__init__()
        self.shortcut = Downsample(in_channels, channels, stride)
        self.norm1 = BatchNorm(in_channels)
        self.conv1 = Conv3x3(in_channels, channels, stride, bias=False)
        self.norm2 = BatchNorm(channels)
        self.conv2 = Conv3x3(channels, channels, bias=False)

    def forward(self, x):
        y = self.conv1(F.gelu(self.norm1(x)))  # (b, c', h', w')
        y = self.conv2(F.gelu(self.norm2(y)))  # (b, c', h', w')
        return self.shortcut(x) + y


def swapped(**new):
    """Compact with other parts in the place of those named; None leaves a part out."""
    swap = {part: new.get(part.__name__, part) for part in (PooledConvs, *MAX_SA)}
    stages = ((swap[part] for part in stage) for stage in COMPACT.parts)
    return {"parts": tuple(tuple(part for part in stage if part) for stage in stages)}


# What the paper's own stem and MBConv make of pictures of 32 x 32.
OF_THE_PAPER = {
    "blocks": (1, 1),
    "widths": (64, 128),
    "stem_width": 64,
    "stem": Stem,
    "expansion": 2,
    "parts": ((MBConv, *MAX_SA), (MBConv, BlockAttention)),
}
# All with the stem and the head of compact, but for the ViT, and at most as many weights.
NETWORKS = {
    "MaxViT (compact)": COMPACT,
    "block attention only": replace(COMPACT, **swapped(GridAttention=BlockAttention)),
    "grid attention only": replace(COMPACT, **swapped(BlockAttention=GridAttention)),
    "convolutions only": replace(COMPACT, **swapped(BlockAttention=None, GridAttention=None)),
    "ResNet": replace(COMPACT, widths=(64, 128, 128), parts=3 * (2 * (Residual,),)),
    # Six layers of attention over all of an 8 x 8 map.
    "ViT": MaxViTConfig((6,), (96,), 64, 8, ((BlockAttention,),), 2, 0.0, 10),
}


def adamw_for_all(model, recipe):
    groups = model.parameter_groups(recipe.weight_decay)
    for group in groups:
        group["params"] = [weight for weight in group["params"] if weight.requires_grad]
    options = {"lr": recipe.adam_rate, "betas": (0.9, 0.95), "fused": True}
    return [torch.optim.AdamW(groups, **options), torch.optim.AdamW([torch.zeros(1)], **options)]


def leave_as_it_is(conv, images):
    """Whiten nothing."""


def coins(epoch, pictures, seed, device):
    """Mirror a new half of the pictures every epoch."""
    return mirrored_in(0, pictures, seed * 1_000_003 + epoch, device)


# What differs from compact and RECIPE: the network, the recipe, or a function of `training`.
TRICKS = {
    "the recipe": {},
    "no whitening": {"training": {"whiten": leave_as_it_is}},
    "AdamW for all, 0.003": {
        "training": {"make_optimisers": adamw_for_all},
        "recipe": {"muon_rate": 0.003, "adam_rate": 0.003},
    },
    "no moving average": {"recipe": {"averaging": 0.0}},
    "averaged over half the run": {"recipe": {"averaging": 0.5}},
    "no label smoothing": {"recipe": {"label_smoothing": 0.0}},
    "no weight decay": {"recipe": {"weight_decay": 0.0}},
    "mirrored by chance": {"training": {"mirrored_in": coins}},
    "moved by up to 4": {"recipe": {"shift": 4}},
    "a hole of 8": {"recipe": {"hole": 8}},
    "MBConv, expansion 2": {"network": swapped(PooledConvs=MBConv) | {"expansion": 2}},
    "stem and MBConv, expansion 2": {"network": OF_THE_PAPER},
    "batch of 128": {"recipe": {"batch_size": 128}},
    "Muon's rate 0.03": {"recipe": {"muon_rate": 0.03}},
    "AdamW's rate 0.003": {"recipe": {"adam_rate": 0.003}},
    "widths 64-192-160": {"network": {"widths": (64, 192, 160)}},
    "widths 64-128-256": {"network": {"widths": (64, 128, 256)}},
    "expansion 2": {"network": {"expansion": 2}},
    "attention on 4 x 4 too": {
        "network": {"parts": (*COMPACT.parts[:2], (PooledConvs, BlockAttention))}
    },
}


def case(kind, name, seed=0):
    """Build what a name stands for: configuration, recipe, functions of `training` to change."""
    network, change = (COMPACT, TRICKS[name]) if kind == "tricks" else (NETWORKS[name], {})
    config = replace(network, **change.get("network", {}))
    recipe = replace(RECIPE, seed=seed, **change.get("recipe", {}))
    return config, recipe, change.get("training", {})


@contextmanager
def changed(functions):
    """Let `training` use other functions for a while."""
    before = {name: getattr(training, name) for name in functions}
    try:
        for name, instead in functions.items():
            setattr(training, name, instead)
        yield
    finally:
        for name, function in before.items():
            setattr(training, name, function)


def count_steps(kind, names, seconds, rounds=20):
    """Say how many steps of each fit into `seconds` of one core: from medians, interleaved."""
    torch.set_num_threads(1)
    keep_memory()
    pictures, _ = cifar10()
    runs, times = {}, {name: [] for name in names}
    order = Random(0)  # who runs after whom matters, so it changes
    for name in names:
        config, recipe, functions = case(kind, name)
        with changed(functions):
            runs[name] = Run(config, recipe, choose_machine("cpu"), pictures)
    with ExitStack() as stack:
        for run in runs.values():
            stack.enter_context(run.gradients)
        for name in chain(*(order.sample(names, len(names)) for _ in range(rounds))):
            run = runs[name]
            batch = slice(run.recipe.batch_size)
            started = time.perf_counter()
            training._step(run, normalise(pictures.images[batch]), pictures.labels[batch])
            times[name].append(time.perf_counter() - started)
    # The first rounds make what later ones find ready.
    return {name: round(seconds / statistics.median(taken[2:])) for name, taken in times.items()}


def measure(kind, name, seed, steps):
    """Train one network for so many steps on this core, and return its row."""
    torch.set_num_threads(1)
    keep_memory()
    config, recipe, functions = case(kind, name, seed)
    recipe = replace(recipe, steps=steps)
    pictures, test = cifar10()
    if kind == "tricks":
        pictures, test = pictures[HELD_OUT:], pictures[:HELD_OUT]
    folder = Path("runs") / f"equal-time-{kind}-{os.getpid()}"
    with changed(functions):
        record = fit(config, pictures, test, recipe, folder, choose_machine("cpu"))
    shutil.rmtree(folder)
    kept = {key: record[key] for key in ("parameters", "machine", "versions", "result")}
    return {
        "name": name,
        "seed": seed,
        "steps": steps,
        "epochs": steps * recipe.batch_size / len(pictures),
        "source": pictures.source,
        "pictures": "test" if kind == "networks" else f"{HELD_OUT} training pictures held out",
    } | kept


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kind", choices=["networks", "tricks"])
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--names", nargs="+", help="rows to measure, else all")
    parser.add_argument("--processes", type=int, default=2, help="that run side by side")
    options = parser.parse_args()
    known = list(NETWORKS if options.kind == "networks" else TRICKS)
    names = options.names or known
    if unknown := set(names) - set(known):
        parser.error(f"no rows are called {', '.join(unknown)}; choose of {', '.join(known)}")
    path = RESULTS / f"equal-time-{options.kind}-{options.seconds}-s.json"
    kept = json.loads(path.read_text()) if path.is_file() else {"seconds": options.seconds}
    kept |= {"command": shlex.join(["python", *sys.argv])}
    rows = kept.setdefault("rows", [])
    done = {(row["name"], row["seed"]) for row in rows}
    todo = [(name, seed) for seed in options.seeds for name in names if (name, seed) not in done]
    if uncounted := set(names) - set(kept.get("steps", names)):
        sys.exit(f"{path} counts no steps of {', '.join(uncounted)}: remove it, or leave them out")
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        if "steps" not in kept:
            counting = pool.submit(count_steps, options.kind, names, options.seconds)
            kept["steps"] = counting.result()
            print(kept["steps"], flush=True)
        jobs = [pool.submit(measure, options.kind, *each, kept["steps"][each[0]]) for each in todo]
        for job in as_completed(jobs):
            row = job.result()
            rows.append(row)
            text = json.dumps(kept, indent=1)
            write_whole(path, lambda partial, text=text: partial.write_text(text))
            result = row["result"]
            print(
                f"{row['name']}, seed {row['seed']}: {result['accuracy']:.2%}, with flip "
                f"{result['accuracy_with_flip']:.2%}, {row['steps']} steps in "
                f"{result['seconds']:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
