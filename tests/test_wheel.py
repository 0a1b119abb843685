"""What people install works without the repository: every command, from the wheel alone."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow
SHARED = ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "CITATION.cff", "minimaxvit")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the wheel, and the source distribution, of a copy of the repository."""
    folder = tmp_path_factory.mktemp("made")
    copy = folder / "copy"
    copy.mkdir()
    for name in [*SHARED, "tests", "notebooks", "benchmarks"]:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    build = "from setuptools import build_meta as b; b.build_wheel('..'); b.build_sdist('..')"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    shutil.rmtree(copy)
    return folder


@pytest.fixture(scope="module")
def run(made, tmp_path_factory):
    """Run `python -m minimaxvit` of the unpacked wheel, in a folder away from the repository."""
    (wheel,) = made.glob("*.whl")
    site, work = made / "site", tmp_path_factory.mktemp("work")
    zipfile.ZipFile(wheel).extractall(site)
    environment = os.environ | {"PYTHONPATH": str(site)}
    environment.pop("MINIMAXVIT_DATA", None)

    def run_it(*arguments, code=("-m", "minimaxvit")):
        command = [sys.executable, *code, *map(str, arguments)]
        return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)

    where = run_it(code=("-c", "import minimaxvit; print(minimaxvit.__file__)"))
    assert where.stdout.startswith(str(site)), "it is not the wheel that is tested"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(256, size=(50, 40, 3), dtype=np.uint8)).save(work / "photo.png")
    return run_it


COMMANDS = {
    "summary tiny": "total",
    "train --data shapes --steps 2 --batch-size 16 --val-size 16 --no-bf16 --out run": "accuracy",
    "evaluate run": "true / predicted",
    "evaluate compact-shapes": "true / predicted",
    "predict photo.png": "it saw 32 x 32 pixels",
    "predict photo.png --run run": "it saw 32 x 32 pixels",
    "explore photo.png --out page.html": "Open page.html",
}


def test_every_command_works_from_the_wheel(run):
    for command, told in COMMANDS.items():
        ran = run(*command.split())
        assert ran.returncode == 0 and told in ran.stdout, ran.stderr
    ran = run("data", "cifar10", "absent.tar.gz")
    assert ran.returncode == 1 and ran.stderr.count("\n") == 1


def test_the_source_distribution_has_no_tests_that_lack_what_they_need(made):
    (path,) = made.glob("*.tar.gz")
    with tarfile.open(path) as tar:
        names = [name.split("/", 1)[1] for name in tar.getnames() if "/" in name]
    assert "minimaxvit/trained/compact.safetensors" in names
    assert not [name for name in names if name.startswith(("tests", "notebooks", "benchmarks"))]
