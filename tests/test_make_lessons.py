"""`make lessons` trains on the images that Python finds, whatever the folder is called.

What it writes is what the workflow publishes.
"""

import importlib
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from PIL import Image

from minimaxvit import pretrained
from minimaxvit.datasets.image_files import read_image
from minimaxvit.datasets.shapes import SHAPE_CLASSES
from minimaxvit.pixels import normalize
from minimaxvit.pretrained_networks import bundled

ROOT = Path(__file__).parents[1]


@pytest.fixture
def asked(monkeypatch):
    """The commands that `make_lessons.main()` runs, and what the pages are rendered from."""
    monkeypatch.syspath_prepend(str(ROOT / "notebooks"))
    make_lessons, commands = importlib.import_module("make_lessons"), []

    def run(command):
        commands.append(command[3:])
        return SimpleNamespace(returncode=0)

    def beside(image, folder, made):
        assert Image.open(image).size == (480, 480)
        pages = [command[-1] for command in commands if command[0] == "explore"]
        assert [str(folder / f"explore-{network}.html") for network in made] == pages
        return folder / "beside.html"

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(make_lessons.render, "main", commands.append)
    monkeypatch.setattr(make_lessons.side_by_side, "write", beside)
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
    train, *explored, render = asked()
    assert train == ["train", "--data", data, "--steps", "400", "--out", f"build/run-{data}"]
    assert {command[0] for command in explored} == {"explore"}
    pages = [command[-1] for command in explored]
    more = ["--explorer", *pages, "--side-by-side", "build/explorer/beside.html"]
    assert render == ["--run", f"build/run-{data}", *more, "--out", "build/lessons"]


def test_every_bundled_network_is_explored_on_images_that_are_there(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    explored = asked()[1:-1]
    assert sorted(command[-3] for command in explored) == bundled()
    for _, *images, run, network, out, page in explored:
        assert (run, out) == ("--run", "--out") and network in page
        for name in images:
            assert Image.open(name).mode == "RGB"


def test_the_shapes_are_what_their_names_say(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked()
    model = pretrained("compact-shapes")
    for name in ("ring", "star", "heart", "arrow"):
        image, _ = read_image(f"build/explorer/{name}.png", 32, 32)
        assert SHAPE_CLASSES[model(normalize(image)).argmax()] == name


def test_a_training_that_fails_stops_it(asked, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda _: SimpleNamespace(returncode=3))
    with pytest.raises(SystemExit) as stopped:
        asked()
    assert stopped.value.code == 3


def test_make_leaves_the_choice_to_python():
    recipes = re.findall(r"^\t.*", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert any("notebooks/make_lessons.py" in line for line in recipes)
    assert not [line for line in recipes if "--data" in line]


def test_the_workflow_publishes_what_make_lessons_writes(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]
    steps, publish = jobs["test"]["steps"], jobs["publish"]
    (upload,) = [step for step in steps if "upload-pages-artifact" in step.get("uses", "")]
    assert upload["with"]["path"] == asked()[-1][-1]
    made = [step for step in steps[: steps.index(upload)] if step.get("run") == "make lessons"]
    assert len(made) == 1
    (version,) = re.findall(r"matrix.python == '(.*?)'", upload["if"])
    assert version in jobs["test"]["strategy"]["matrix"]["python"], "nothing would be uploaded"
    for condition in (upload["if"], publish["if"]):
        assert "github.ref == 'refs/heads/main'" in condition
    assert publish["needs"] == "test"
    assert publish["permissions"] == {"pages": "write", "id-token": "write"}
    assert publish["concurrency"] == {"group": "pages", "cancel-in-progress": False}
    used = [step["uses"].split("@")[0] for step in publish["steps"]]
    assert used == ["actions/configure-pages", "actions/deploy-pages"]


def test_the_readme_says_how_to_switch_pages_on():
    told = " ".join((ROOT / "README.md").read_text().split())
    assert 'under "Pages", choose "GitHub Actions" as the source' in told
