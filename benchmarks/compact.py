"""Train the compact network on a budget of steps and keep the record under benchmarks/results/.

    python benchmarks/compact.py {cifar10,shapes} STEPS [--hole PIXELS] [--box]

The record is that of `minimaxvit train`; the run itself stays in runs/, and if interrupted goes on
from there.
"""

import argparse
import shlex
import shutil
import sys
from pathlib import Path

from minimaxvit import CONFIGS
from minimaxvit.allocator import keep_memory
from minimaxvit.data import load_data
from minimaxvit.training import RECORD, WEIGHTS, Recipe, fit
from minimaxvit.weights import BOX

RESULTS = Path(__file__).parent / "results"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", choices=["cifar10", "shapes"])
    parser.add_argument("steps", type=int)
    parser.add_argument("--hole", type=int, default=0, help="cut out of each picture, in pixels")
    parser.add_argument("--shift", type=int, default=2, help="pixels a picture may move")
    parser.add_argument("--box", action="store_true", help="put the network into the package")
    options = parser.parse_args()
    keep_memory()
    name = f"compact-{options.data}-{options.steps}-steps"
    folder = Path("runs") / name
    command = shlex.join(["python", *sys.argv])
    recipe = Recipe(steps=options.steps, hole=options.hole, shift=options.shift)
    record = fit(CONFIGS["compact"], *load_data(options.data), recipe, folder, command=command)
    print(record["data"]["source"], record["result"])
    shutil.copyfile(folder / RECORD, RESULTS / f"{name}.json")
    if options.box:
        BOX.mkdir(exist_ok=True)
        boxed = {"cifar10": "compact", "shapes": "compact-shapes"}[options.data]
        shutil.copyfile(folder / WEIGHTS, BOX / f"{boxed}.safetensors")
        shutil.copyfile(folder / RECORD, BOX / f"{boxed}.json")


if __name__ == "__main__":
    main()
