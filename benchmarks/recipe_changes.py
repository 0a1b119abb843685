"""Try the recipe of the compact network with one change each.

    python benchmarks/recipe_changes.py --seeds 0 1

Every row trains for the same number of steps on a subset of CIFAR-10's training images, which makes
for enough epochs that regularization can show, and is measured on other training images: the test
images take no part in choosing. Rows already in benchmarks/results/ are not measured again.
"""

from dataclasses import replace

import torch
from equal_time import (
    COMPACT,
    RECIPE,
    RESULTS,
    arguments,
    load_kept,
    parsed,
    refuse_stale,
    row,
    run_all,
)

from minimaxvit.datasets import load_cifar10
from minimaxvit.training.allocator import keep_memory

TRAIN_SIZE, HELD_OUT, STEPS = 10_000, 5_000, 1_000
CHANGES = {
    "the recipe": {},
    "no whitening": {"whiten": False},
    "AdamW for all": {"muon": False, "adamw_lr": 0.003},
    "no moving average": {"ema": 0.0},
    "no label smoothing": {"label_smoothing": 0.0},
    "no weight decay": {"weight_decay": 0.0},
    "random flip": {"alternating_flip": False},
    "no translation": {"translate": 0},
    "translation by 4": {"translate": 4},
    "cutout of 8": {"cutout": 8},
}


def changed(name):
    return replace(RECIPE, **CHANGES[name])


def measure(name, seed):
    """Train with one change for the same number of steps on this core, and return its row."""
    torch.set_num_threads(1)
    keep_memory()
    images, _ = load_cifar10()
    held_out, training = images[:HELD_OUT], images[HELD_OUT : HELD_OUT + TRAIN_SIZE]
    recipe = replace(changed(name), steps=STEPS, seed=seed)
    return {"name": name} | row(COMPACT, recipe, training, held_out)


def main():
    options = parsed(arguments(__doc__.split("\n")[0], CHANGES), CHANGES)
    path = RESULTS / "recipe-changes.json"
    kept = load_kept(path, steps=STEPS, train_size=TRAIN_SIZE, held_out=HELD_OUT)
    recipes = {name: changed(name) for name in options.names}
    refuse_stale(path, kept, dict.fromkeys(recipes, COMPACT), recipes)
    todo = [(name, seed) for seed in options.seeds for name in options.names]
    run_all(path, kept, todo, measure, options.processes)


if __name__ == "__main__":
    main()
