"""`make lessons` trains on the images that Python finds, whatever the folder is called."""

import importlib
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def asked(monkeypatch):
    """The commands that `make_lessons.main()` runs, and what the pages are rendered from."""
    monkeypatch.syspath_prepend(str(ROOT / "notebooks"))
    make_lessons, commands = importlib.import_module("make_lessons"), []

    def run(command):
        commands.append(command[3:])
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(make_lessons.render, "main", commands.append)
    return lambda: make_lessons.main() or commands


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("name", ["plain", "with a space", "ünïcode", "~/home"])
def test_the_images_that_are_there_are_trained_on(name, there, asked, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / name.removeprefix("~/")
    if there:
        (folder / "cifar-10-batches-bin").mkdir(parents=True)
        (folder / "cifar-10-batches-bin" / "test_batch.bin").touch()
    monkeypatch.setenv("MINIMAXVIT_DATA", name if name.startswith("~") else str(folder))
    data = "cifar10" if there else "shapes"
    assert asked() == [
        ["train", "--data", data, "--steps", "400", "--out", f"build/run-{data}"],
        ["--run", f"build/run-{data}", "--out", "build/lessons"],
    ]


def test_a_training_that_fails_stops_it(asked, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda _: SimpleNamespace(returncode=3))
    with pytest.raises(SystemExit) as stopped:
        asked()
    assert stopped.value.code == 3


def test_make_leaves_the_choice_to_python():
    recipes = re.findall(r"^\t.*", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert any("notebooks/make_lessons.py" in line for line in recipes)
    assert not [line for line in recipes if "--data" in line]
