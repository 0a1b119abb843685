"""Train MaxViT and its relatives under compact's recipe, for equal epochs or for equal time.

    python benchmarks/family.py steps --names swin nat
    python benchmarks/family.py seconds

By steps, each sees 10,000 training images of CIFAR-10 for 800 steps; by seconds, all of them for as
many steps as fit into 240 s of one core, counted beforehand, interleaved, for a quiet machine. What
is counted later is scaled by how fast compact is then. The recipe was tuned for none but compact.
Rows that are in benchmarks/results/ are not measured again, so this may take several sittings. The
runs stay in runs/family-steps/ and runs/family-seconds/, for `minimaxvit explore --run`.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch
from equal_time import (
    RECIPE,
    RESULTS,
    arguments,
    count_steps,
    load_kept,
    parsed,
    refuse_stale,
    row,
    run_all,
    write,
)

from minimaxvit import CONFIGS
from minimaxvit.datasets import load_cifar10
from minimaxvit.training.allocator import keep_memory

NETWORKS = {name: config for name, config in CONFIGS.items() if config.image_size == 32}
TRAIN_SIZE, STEPS, SECONDS = 10_000, 800, 240
PATHS = {
    "steps": RESULTS / f"family-{STEPS}-steps.json",
    "seconds": RESULTS / f"family-{SECONDS}-s.json",
}


def measure(name, seed, steps, train_size, folder):
    """Train one network for so many steps on this core, and return its row."""
    torch.set_num_threads(1)
    keep_memory()
    training, test = load_cifar10()
    recipe = replace(RECIPE, steps=steps, seed=seed)
    keep = Path("runs") / folder / f"{name}-seed-{seed}"
    return {"name": name} | row(NETWORKS[name], recipe, training[:train_size], test, keep)


def count_more(networks, counted):
    """Count the steps of `networks`, and join them to those `counted` on a faster or slower day.

    Compact is counted again beside them, and what it takes now and took then is the scale.
    """
    now = count_steps({"compact": NETWORKS["compact"]} | networks, SECONDS)
    scale = counted.get("compact", now["compact"]) / now["compact"]
    return counted | {name: round(scale * steps) for name, steps in now.items()}


def main():
    parser = arguments(__doc__.split("\n")[0], NETWORKS)
    parser.add_argument("equal", choices=PATHS, help="what is equal for all networks")
    options = parsed(parser, NETWORKS)
    path, networks = PATHS[options.equal], {name: NETWORKS[name] for name in options.names}
    if options.equal == "steps":
        kept = load_kept(path, train_size=TRAIN_SIZE)
        train_size, steps = TRAIN_SIZE, dict.fromkeys(networks, STEPS)
    else:
        kept, train_size = load_kept(path, seconds=SECONDS, steps={}), None  # None: all
        steps = kept["steps"]
        if uncounted := {name: each for name, each in networks.items() if name not in steps}:
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                steps = kept["steps"] = pool.submit(count_more, uncounted, steps).result()
            print(steps, flush=True)
            write(path, kept)
    kept["command"] = f"python benchmarks/family.py {options.equal}"  # also in a later sitting
    refuse_stale(path, kept, networks, dict.fromkeys(networks, RECIPE))
    todo = [
        (name, seed, steps[name], train_size, f"family-{options.equal}")
        for seed in options.seeds
        for name in options.names
    ]
    run_all(path, kept, todo, measure, options.processes)


if __name__ == "__main__":
    main()
