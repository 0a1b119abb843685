"""Compare networks that all train for the same time, each on one core.

    python benchmarks/equal_time.py --seconds 240 --seeds 0 1 2
    python benchmarks/equal_time.py --seconds 1440 --seeds 0 1 --names 'MaxViT (compact)' hybrid \\
        'dense convolutions only'

All have compact's recipe, which was tuned for none of the others, and are measured on CIFAR-10's
test images. First it measures how long a step of each takes, interleaved on a quiet core, and so
how many steps fit; what runs beside it later changes nothing. Rows that are already in
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
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from random import Random

import torch
from freshness import alike, first_losses

from minimaxvit import CONFIGS, MAX_SA, BlockAttention, GridAttention
from minimaxvit.atomic_write import atomic_write
from minimaxvit.datasets import load_cifar10, normalize
from minimaxvit.training import Recipe, choose_device, fit
from minimaxvit.training.allocator import keep_memory
from minimaxvit.training.run import Run, train_step

RESULTS = Path(__file__).parent / "results"
COMPACT = CONFIGS["compact"]
RECIPE = Recipe(val_size=0)


def swapped(swap):
    """Compact with other parts in place of those in `swap`; None leaves a part out."""
    parts = [[swap.get(part, part) for part in stage] for stage in COMPACT.parts]
    return replace(COMPACT, parts=tuple(tuple(filter(None, stage)) for stage in parts))


NETWORKS = {
    "MaxViT (compact)": COMPACT,
    "block attention only": swapped({GridAttention: BlockAttention}),
    "grid attention only": swapped({BlockAttention: GridAttention}),
    "MBConv only": swapped(dict.fromkeys(MAX_SA)),
    "hybrid": CONFIGS["hybrid"],
    "dense convolutions only": CONFIGS["convolutions"],
    "ResNet": CONFIGS["resnet"],
    "ViT": CONFIGS["vit"],
}


def count_steps(networks, seconds, rounds=20):
    """Say how many steps of each fit into `seconds` of one core: from medians, interleaved.

    `networks` are {name: configuration}.
    """
    torch.set_num_threads(1)
    keep_memory()
    images, _ = load_cifar10()
    device, order = choose_device("cpu"), Random(0)  # who runs after whom matters, so it changes
    runs = {name: Run(config, RECIPE, device, images) for name, config in networks.items()}
    names, times = list(networks), {name: [] for name in networks}
    batch = slice(RECIPE.batch_size)
    with ExitStack() as stack:
        for run in runs.values():
            stack.enter_context(run.gradients)
        for name in chain(*(order.sample(names, len(names)) for _ in range(rounds))):
            started = time.perf_counter()
            train_step(runs[name], normalize(images.images[batch]), images.labels[batch])
            times[name].append(time.perf_counter() - started)
    # The first rounds prepare what later ones find ready.
    return {name: round(seconds / statistics.median(taken[2:])) for name, taken in times.items()}


def measure(name, seed, steps):
    """Train one network for so many steps on this core, and return its row."""
    torch.set_num_threads(1)
    keep_memory()
    recipe = replace(RECIPE, steps=steps, seed=seed)
    training, test = load_cifar10()
    return {"name": name} | row(NETWORKS[name], recipe, training, test)


def row(config, recipe, training, test, keep=None):
    """Train, and return what a row needs of the record; the run itself goes to `keep`, or away."""
    folder = Path("runs") / f"benchmark-{os.getpid()}"
    record = fit(config, training, test, recipe, folder, choose_device("cpu"))
    if keep is not None:
        shutil.rmtree(keep, ignore_errors=True)
        keep.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(keep)
    else:
        shutil.rmtree(folder)
    kept = {key: record[key] for key in ("parameters", "machine", "versions", "result")}
    return {
        "seed": recipe.seed,
        "steps": recipe.steps,
        "epochs": recipe.steps * recipe.batch_size / len(training),
        "source": training.source,
    } | kept


def run_all(path, kept, todo, work, processes):
    """Do `work(*each)` for all in `todo`, side by side, and write each row when it is there."""
    rows = kept.setdefault("rows", [])
    done = {(row["name"], row["seed"]) for row in rows}
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        jobs = [pool.submit(work, *each) for each in todo if each[:2] not in done]
        for job in as_completed(jobs):
            rows.append(job.result())
            write(path, kept)
            print(describe(rows[-1]), flush=True)


def write(path, kept):
    text = json.dumps(kept, indent=1)
    atomic_write(path, lambda partial: partial.write_text(text))


def describe(row):
    result = row["result"]
    return (
        f"{row['name']}, seed {row['seed']}: {result['accuracy']:.2%}, with flip "
        f"{result['accuracy_with_flip']:.2%}, {row['steps']} steps in {result['seconds']:.0f} s"
    )


def arguments(summary, known):
    """Parse what both comparisons take: seeds, names and processes."""
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--names", nargs="+", default=list(known), help="rows (default: all)")
    parser.add_argument("--processes", type=int, default=2, help="how many run side by side")
    return parser


def parsed(parser, known):
    options = parser.parse_args()
    if unknown := set(options.names) - set(known):
        parser.error(f"no rows are called {', '.join(unknown)}; choose from {', '.join(known)}")
    return options


def load_kept(path, **settings):
    """Load the record at `path`, or begin one with these settings."""
    kept = json.loads(path.read_text()) if path.is_file() else settings
    return kept | {"command": shlex.join(["python", *sys.argv])}


def refuse_stale(path, kept, networks, recipes):
    """Exit if training would not give the rows in the record at `path` again.

    `networks` and `recipes` are {name of a row: what it trains, and how}.
    """
    known = kept.setdefault("first_losses", {})
    for name, config in networks.items():
        losses = first_losses(config, recipes[name])
        if not alike(known.setdefault(name, losses), losses):
            sys.exit(f"{path} has rows of {name} from other code: remove it, and measure again")


def main():
    parser = arguments(__doc__.split("\n")[0], NETWORKS)
    parser.add_argument("--seconds", type=int, default=240)
    options = parsed(parser, NETWORKS)
    path = RESULTS / f"equal-time-{options.seconds}-s.json"
    kept = load_kept(path, seconds=options.seconds)
    if uncounted := set(options.names) - set(kept.get("steps", options.names)):
        sys.exit(f"{path} counts no steps of {', '.join(uncounted)}: remove it, or leave them out")
    if "steps" not in kept:
        named = {name: NETWORKS[name] for name in options.names}
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            kept["steps"] = pool.submit(count_steps, named, options.seconds).result()
        print(kept["steps"], flush=True)
    networks = {name: NETWORKS[name] for name in options.names}
    refuse_stale(path, kept, networks, dict.fromkeys(networks, RECIPE))
    steps = kept["steps"]
    todo = [(name, seed, steps[name]) for seed in options.seeds for name in options.names]
    run_all(path, kept, todo, measure, options.processes)


if __name__ == "__main__":
    main()
