"""Train the compact network on a budget of steps and keep the record under benchmarks/results/.

    python benchmarks/compact.py {cifar10,shapes} STEPS [--box]

The record is that of `minimaxvit train`; the run itself stays in runs/, and if interrupted goes on
from there. `--help` lists what of the recipe may be set; `--box` puts the network into the package.
"""

import argparse
import json
import shlex
import shutil
import sys
from dataclasses import fields
from pathlib import Path

from minimaxvit import CONFIGS
from minimaxvit.allocator import keep_memory
from minimaxvit.data import load_data
from minimaxvit.evaluation import judge
from minimaxvit.training import RECORD, WEIGHTS, Recipe, fit
from minimaxvit.weights import BOX, load, save, write_whole

RESULTS = Path(__file__).parent / "results"
TUNED = ("batch_size", "muon_rate", "shift", "hole")  # what short and long runs may want otherwise


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", choices=["cifar10", "shapes"])
    parser.add_argument("steps", type=int)
    for field in fields(Recipe):
        if field.name in TUNED:
            flag, meaning = f"--{field.name.replace('_', '-')}", field.metadata["meaning"]
            parser.add_argument(flag, type=type(field.default), default=field.default, help=meaning)
    parser.add_argument("--box", action="store_true", help="put the network into the package")
    options = parser.parse_args()
    keep_memory()
    name = f"compact-{options.data}-{options.steps}-steps"
    folder = Path("runs") / name
    command = shlex.join(["python", *sys.argv])
    recipe = Recipe(steps=options.steps, **{name: getattr(options, name) for name in TUNED})
    training, test = load_data(options.data)
    record = fit(CONFIGS["compact"], training, test, recipe, folder, command=command)
    print(record["data"]["source"], record["result"])
    shutil.copyfile(folder / RECORD, RESULTS / f"{name}.json")
    if options.box:
        boxed = {"cifar10": "compact", "shapes": "compact-shapes"}[options.data]
        box(boxed, load(folder / WEIGHTS), record, test)


def box(name, model, record, test):
    """Put a network into the package in half precision, and tell what it reaches as stored."""
    weights = BOX / f"{name}.safetensors"
    save(model.half(), weights)
    judged = judge(load(weights), test)
    record = record | judged | {"result": record["result"] | judged["result"], "stored": "fp16"}
    text = json.dumps(record, indent=1)
    write_whole(BOX / f"{name}.json", lambda partial: partial.write_text(text))


if __name__ == "__main__":
    main()
