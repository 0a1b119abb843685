"""Run `minimaxvit train` on a budget of steps, time all of it, and keep its record.

    python benchmarks/compact.py {cifar10,shapes} STEPS [--network NAME] [--seed N] [OPTION ...]
    python benchmarks/compact.py {cifar10,shapes} STEPS --bundle [OPTION ...]

OPTIONs are those of `minimaxvit train`. The time is that of the whole command by the clock: start,
loading, training, statistics and evaluation. The record goes to benchmarks/results/, the run stays
in runs/ and, if interrupted, goes on from there (its whole time is then unknown). `--bundle` puts
the network into the package.
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import torch
from freshness import first_losses

from minimaxvit.atomic_write import atomic_write
from minimaxvit.datasets import load_data
from minimaxvit.pretrained_networks import BUNDLED
from minimaxvit.training import Recipe
from minimaxvit.training.evaluation import evaluation_record
from minimaxvit.training.folder import CHECKPOINT, RECORD, WEIGHTS
from minimaxvit.weights import configuration, load, save

RESULTS = Path(__file__).parent / "results"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", choices=["cifar10", "shapes"])
    parser.add_argument("steps", type=int)
    parser.add_argument("--bundle", action="store_true", help="put the network into the package")
    parser.add_argument("--network", default="compact")
    parser.add_argument("--seed", type=int, default=0)
    options, recipe = parser.parse_known_args()
    if options.bundle and options.network != "compact":
        parser.error(f"only compact is bundled, not {options.network}; leave out --bundle")
    name = name_of(options, torch.cuda.is_available())
    if options.network != "compact":
        recipe = [*recipe, "--network", options.network]
    if options.seed:
        recipe = [*recipe, "--seed", str(options.seed)]
    folder = Path("runs") / name
    command = [
        "minimaxvit",
        "train",
        "--data",
        options.data,
        "--steps",
        str(options.steps),
        *recipe,
    ]
    resumed = (folder / CHECKPOINT).exists() or (folder / RECORD).exists()
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", *command, "--out", str(folder)], check=True)
    seconds = time.perf_counter() - started
    record = json.loads((folder / RECORD).read_text())
    record["command"] = shlex.join(command)
    record["result"]["whole_seconds"] = None if resumed else seconds
    recipe_used = Recipe(**record["recipe"])
    record["first_losses"] = first_losses(configuration(record["config"]), recipe_used)
    write(RESULTS / f"{name}.json", record)
    print(record["data"]["source"], record["result"])
    if options.bundle:
        bundled = {"cifar10": "compact", "shapes": "compact-shapes"}[options.data]
        bundle(bundled, load(folder / WEIGHTS), record, load_data(options.data)[1])


def name_of(options, on_gpu):
    """Name a run and its record; compact on a GPU, which lesson 9 reads, is just called gpu."""
    network = f"gpu-{options.network}".removesuffix("-compact") if on_gpu else options.network
    seed = f"-seed-{options.seed}" if options.seed else ""
    return f"{network}-{options.data}-{options.steps}-steps{seed}"


def bundle(name, model, record, test):
    """Put a network into the package in half precision, with what it reaches as stored."""
    weights = BUNDLED / f"{name}.safetensors"
    save(model.half(), weights)
    evaluated = evaluation_record(load(weights), test)
    result = record["result"] | evaluated.pop("result")
    write(BUNDLED / f"{name}.json", record | evaluated | {"result": result, "stored": "fp16"})


def write(path, record):
    text = json.dumps(record, indent=1)
    atomic_write(path, lambda partial: partial.write_text(text))


if __name__ == "__main__":
    main()
