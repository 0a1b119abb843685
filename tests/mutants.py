"""Plant small faults in the code, one at a time, and count those that the tests notice.

    python tests/mutants.py [--only FILE ...] [--sample 200] [--out build/mutants]

Every fault (mutmut calls it a mutant) of the core, of weights and of data meets the tests of its
own file; of training and evaluation it is a seeded sample. Takes an hour or more; what is in the
output folder is not done again. Survivors are listed with the line that they change. mutmut leaves
decorated functions alone, so `locked` has no mutants.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
UNNOTICED = (0, 5, 33)  # the tests passed, or there are none
NONE = ["no such name"]
COPIED = ["minimaxvit", "tests", "benchmarks", "notebooks", "README.md", "Makefile"]
IN_FULL = {
    "fast": ["fast"],
    "partition": ["partition"],
    "position": ["position"],
    "attention": ["attention"],
    "layers": ["mbconv", "block", "parity_timm"],
    "steps": ["frame", "network"],
    "mbconv": ["mbconv"],
    "block": ["block", "seeing/measure/recording"],
    "sizes": ["sizes", "network", "errors", "summary"],
    "network": ["network"],
    "configs": ["network", "errors", "summary"],
    "dense": ["dense"],
    "resize": ["resize"],
    "weights": ["weights", "errors"],
    "timm_weights": ["weights", "errors"],
    "official_weights": ["official_weights"],
    "pretrained_networks": ["official_weights", "weights"],
    "pixels": ["official_weights", "datasets/cifar10"],
    "atomic_write": ["weights", "errors"],
    "modes": ["modes"],
    "datasets/cifar10": ["datasets/cifar10", "errors"],
    "datasets/image_files": ["datasets/image_files", "errors"],
    "datasets/labeled_images": ["datasets/cifar10", "errors"],
    "datasets/loading": ["datasets/cifar10", "errors"],
    "datasets/packed_images": ["datasets/packed_images", "datasets/cifar10"],
    "datasets/shapes": ["datasets/shapes", "errors"],
}
SAMPLED = {
    f"training/{name}": [f"training/{name}", "training/recipe", "training/run", "errors"]
    for name in "augmentation evaluation muon optimizers recipe run statistics whitening".split()
}


def test_files(names):
    paths = [Path("tests") / name for name in names]
    return [str(path.with_name(f"test_{path.name}.py")) for path in paths]


def prepare(folder, file, tests):
    """Copy what a test needs to `folder`, and tell mutmut there what to do."""
    folder.mkdir(parents=True)
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    settings = {
        "source_paths": ["minimaxvit"],
        "only_mutate": [f"minimaxvit/{file}.py"],
        "pytest_add_cli_args_test_selection": [*test_files(tests), "-m", "not slow"],
        "also_copy": COPIED,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    text = (ROOT / "pyproject.toml").read_text() + "\n[tool.mutmut]\n" + "\n".join(lines) + "\n"
    (folder / "pyproject.toml").write_text(text)


def mutmut(folder, *arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def outcomes(folder, file):
    """What became of each fault, by its name: None if it has not been tried."""
    path = folder / "mutants" / "minimaxvit" / f"{file}.py.meta"
    return json.loads(path.read_text())["exit_code_by_key"] if path.is_file() else {}


def try_file(out, file, tests, names=()):
    """Plant the faults of a file, all or those of these names, and return what became of them."""
    folder = out / file.replace("/", "-")
    if not folder.exists():
        prepare(folder, file, tests)
    ran = mutmut(folder, "run", *names)
    found = outcomes(folder, file)
    tried = {name: code for name, code in found.items() if code is not None}
    if not found or (not tried and names != NONE):
        sys.exit(f"mutmut stopped at {file}:\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    return tried


def draw(out, count):
    """Draw faults from all files of `SAMPLED`: {file: [name, ...]}."""
    every = []
    for file, tests in SAMPLED.items():
        try_file(out, file, tests, NONE)  # makes them
        names = outcomes(out / file.replace("/", "-"), file)
        every += [(file, name) for name in sorted(names)]
    drawn = random.Random(0).sample(every, min(count, len(every)))
    return {file: [name for of, name in drawn if of == file] for file in SAMPLED}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", default=[*IN_FULL, "sample"], help="files to do")
    parser.add_argument("--sample", type=int, default=200, help="faults in training, evaluation")
    parser.add_argument("--out", type=Path, default=Path("build/mutants"), help="folder to work in")
    options = parser.parse_args()
    todo = {file: (tests, ()) for file, tests in IN_FULL.items() if file in options.only}
    if "sample" in options.only:
        drawn = draw(options.out, options.sample)
        todo |= {file: (SAMPLED[file], names) for file, names in drawn.items() if names}
    caught, tried = 0, 0
    for file, (tests, names) in todo.items():
        found = try_file(options.out, file, tests, names)
        alive = [name for name, code in found.items() if code in UNNOTICED]
        caught, tried = caught + len(found) - len(alive), tried + len(found)
        print(f"{file}: {len(found) - len(alive)} of {len(found)} noticed", flush=True)
        for name in alive:
            shown = mutmut(options.out / file.replace("/", "-"), "show", name).stdout
            changed = [
                line for line in shown.splitlines() if line[:1] in "+-" and line[1:2] != line[:1]
            ]
            print("  " + "\n  ".join([name, *changed]), flush=True)
    print(f"{caught} of {tried} noticed: {caught / tried:.1%}")


if __name__ == "__main__":
    main()
