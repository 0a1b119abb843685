"""Turn a ResNet's block into ConvNeXt's, one change a step, and train a network of each.

    python benchmarks/modernize.py --seeds 0 1

All have compact's recipe, which was tuned for none of them, and see 10,000 training images of
CIFAR-10 for 400 steps. Rows already in benchmarks/results/modernize.json are not measured again.
"""

from dataclasses import replace

import torch
from equal_time import RECIPE, RESULTS, arguments, load_kept, parsed, refuse_stale, row, run_all

from minimaxvit.datasets import load_cifar10
from minimaxvit.experiments.modernize import NETWORKS
from minimaxvit.training.allocator import keep_memory

TRAIN_SIZE, STEPS = 10_000, 400
PATH = RESULTS / "modernize.json"


def measure(name, seed):
    """Train one network on this core, and return its row."""
    torch.set_num_threads(1)
    keep_memory()
    training, test = load_cifar10()
    recipe = replace(RECIPE, steps=STEPS, seed=seed)
    return {"name": name} | row(NETWORKS[name], recipe, training[:TRAIN_SIZE], test)


def main():
    options = parsed(arguments(__doc__.split("\n")[0], NETWORKS), NETWORKS)
    kept = load_kept(PATH, train_size=TRAIN_SIZE, steps=STEPS)
    kept["command"] = "python benchmarks/modernize.py --seeds 0 1"  # also in a later sitting
    networks = {name: NETWORKS[name] for name in options.names}
    refuse_stale(PATH, kept, networks, dict.fromkeys(networks, RECIPE))
    todo = [(name, seed) for seed in options.seeds for name in options.names]
    run_all(PATH, kept, todo, measure, options.processes)


if __name__ == "__main__":
    main()
