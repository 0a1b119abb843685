"""Train compact for two minutes on the images that are there, then render the course with that run.

    python notebooks/make_lessons.py

Beside the lessons stand pages that explore the pretrained networks, and one that sets any two
networks side by side. Does only what is left to do: a run that is finished is not trained again.
"""

import subprocess
import sys
from pathlib import Path

import render
import side_by_side
from PIL import Image

from minimaxvit.datasets.loading import choose_data
from minimaxvit.datasets.shapes import SHAPE_CLASSES, draw_shapes
from minimaxvit.seeing import photograph

STEPS = 400  # two minutes on two cores
FOLDER = Path("build/explorer")
FIGURES = ("ring", "star", "heart", "arrow")


def run(*arguments):
    """Run a command of minimaxvit; if it fails, so does this script."""
    command = [sys.executable, "-m", "minimaxvit", *map(str, arguments)]
    if code := subprocess.run(command).returncode:
        sys.exit(code)


def write_images():
    """Write what the networks look at. Returns {network: image files}."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    drawn = {"photograph": photograph()}  # (h, w, c)
    images, labels = draw_shapes(100, seed=1)  # others than those of the training
    for name in FIGURES:
        first = images[labels == SHAPE_CLASSES.index(name)][0]  # (c, h, w)
        drawn[name] = first.transpose(1, 2, 0)
    files = {name: FOLDER / f"{name}.png" for name in drawn}
    for name, pixels in drawn.items():
        Image.fromarray(pixels).save(files[name])
    return {
        "compact": [files["photograph"]],
        "compact-shapes": [files[name] for name in FIGURES],
    }


def main():
    data = choose_data("any")
    trained = f"build/run-{data}"
    run("train", "--data", data, "--steps", STEPS, "--out", trained)
    looked_at, pages = write_images(), []
    for network, images in looked_at.items():
        pages.append(f"{FOLDER}/explore-{network}.html")
        run("explore", *images, "--run", network, "--out", pages[-1])
    beside = side_by_side.write(FOLDER / "photograph.png", FOLDER, made=list(looked_at))
    more = ["--explorer", *pages, "--side-by-side", str(beside)]
    render.main(["--run", trained, *more, "--out", "build/lessons"])


if __name__ == "__main__":
    main()
