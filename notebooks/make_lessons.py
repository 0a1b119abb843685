"""Train compact for two minutes on the images that are there, then render the course with that run.

    python notebooks/make_lessons.py

Does only what is left to do: a run that is finished is not trained again.
"""

import subprocess
import sys

import render

from minimaxvit.datasets.loading import choose_data

STEPS = 400  # two minutes on two cores


def main():
    data = choose_data("any")
    run = f"build/run-{data}"
    train = ["train", "--data", data, "--steps", str(STEPS), "--out", run]
    if code := subprocess.run([sys.executable, "-m", "minimaxvit", *train]).returncode:
        sys.exit(code)
    render.main(["--run", run, "--out", "build/lessons"])


if __name__ == "__main__":
    main()
