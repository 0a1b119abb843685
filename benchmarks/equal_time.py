"""Compare networks, or recipes, that all train for the same time on one core each.

    python benchmarks/equal_time.py networks --seconds 300 --seeds 0 1 2
    python benchmarks/equal_time.py tricks --seconds 150 --seeds 0

`networks` is measured on CIFAR-10's test pictures; `tricks`, by which to choose a recipe, on 5,000
training pictures held out. Rows already in benchmarks/results/ are not measured again.
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
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch
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
from minimaxvit.mbconv import BatchNorm, Conv3x3, Downsample, gelu
from minimaxvit.network import Stem
from minimaxvit.training import Recipe, Run, fit
from minimaxvit.weights import write_whole

RESULTS = Path(__file__).parent / "results"
HELD_OUT = 5000
COMPACT = CONFIGS["compact"]


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
        y = self.conv1(gelu(self.norm1(x)))  # (b, c', h', w')
        y = self.conv2(gelu(self.norm2(y)))  # (b, c', h', w')
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
    "parts": ((MBConv, *MAX_SA), (MBConv, BlockAttention)),
}
# All with the stem, the head and the widths of compact, but for the ViT.
NETWORKS = {
    "MaxViT (compact)": COMPACT,
    "block attention only": replace(COMPACT, **swapped(GridAttention=BlockAttention)),
    "grid attention only": replace(COMPACT, **swapped(BlockAttention=GridAttention)),
    "convolutions only": replace(COMPACT, **swapped(BlockAttention=None, GridAttention=None)),
    "ResNet": replace(COMPACT, parts=3 * (2 * (Residual,),)),
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


# What differs from compact and its recipe: the network, the recipe, or a function of `training`.
TRICKS = {
    "the recipe": {},
    "no whitening": {"training": {"whiten": leave_as_it_is}},
    "AdamW for all, 0.003": {
        "training": {"make_optimisers": adamw_for_all},
        "recipe": {"muon_rate": 0.003, "adam_rate": 0.003},
    },
    "no moving average": {"recipe": {"average": 0.0}},
    "no label smoothing": {"recipe": {"label_smoothing": 0.0}},
    "no weight decay": {"recipe": {"weight_decay": 0.0}},
    "a hole of 8": {"recipe": {"hole": 8}},
    "mirrored by chance": {"training": {"mirrored_in": coins}},
    "moved by up to 4": {"recipe": {"shift": 4}},
    "batch of 128": {"recipe": {"batch_size": 128}},
    "Muon's rate 0.03": {"recipe": {"muon_rate": 0.03}},
    "AdamW's rate 0.003": {"recipe": {"adam_rate": 0.003}},
    "stem and MBConv": {"network": OF_THE_PAPER},
    "MBConv": {"network": swapped(PooledConvs=MBConv)},
    "grid on 4 x 4 too": {"network": {"parts": (*COMPACT.parts[:2], COMPACT.parts[1])}},
    "expansion 1": {"network": {"expansion": 1}},
}


def seconds_a_step(config, recipe, pictures):
    """Take the median of a few steps, after a few for warming up."""
    run = Run(config, recipe, choose_machine("cpu"), pictures)
    images, labels = pictures.images[: recipe.batch_size], pictures.labels[: recipe.batch_size]
    times = []
    with run.gradients:
        for _ in range(15):
            started = time.perf_counter()
            training._step(run, normalise(images), labels)
            times.append(time.perf_counter() - started)
    return statistics.median(times[5:])


def measure(kind, name, seed, seconds):
    """Train one network for about so many seconds of this core, and return its row."""
    torch.set_num_threads(1)
    keep_memory()
    change = TRICKS[name] if kind == "tricks" else {}
    for function, instead in change.get("training", {}).items():
        setattr(training, function, instead)
    config = replace(NETWORKS.get(name, COMPACT), **change.get("network", {}))
    recipe = replace(Recipe(validation=0, seed=seed), **change.get("recipe", {}))
    pictures, test = cifar10()
    if kind == "tricks":
        pictures, test = pictures[HELD_OUT:], pictures[:HELD_OUT]
    steps = round(seconds / seconds_a_step(config, recipe, pictures))
    recipe = replace(recipe, steps=steps)
    folder = Path("runs") / f"equal-time-{kind}-{os.getpid()}"
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
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--processes", type=int, default=2, help="that run side by side")
    options = parser.parse_args()
    path = RESULTS / f"equal-time-{options.kind}.json"
    kept = json.loads(path.read_text()) if path.is_file() else {"seconds": options.seconds}
    if kept["seconds"] != options.seconds:
        sys.exit(f"{path} holds rows of {kept['seconds']} seconds: remove it, or ask for the same")
    kept |= {"command": shlex.join(["python", *sys.argv])}
    rows = kept.setdefault("rows", [])
    done = {(row["name"], row["seed"]) for row in rows}
    names = NETWORKS if options.kind == "networks" else TRICKS
    todo = [(name, seed) for seed in options.seeds for name in names if (name, seed) not in done]
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        jobs = [pool.submit(measure, options.kind, *each, options.seconds) for each in todo]
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
