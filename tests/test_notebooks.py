"""The lessons as they are committed: executed, short, and readable without sight of the pictures.

That they still say the same when run again is nbval's to prove: see the Makefile.
"""

import os
import re
import runpy
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

import minimaxvit

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
IGNORED = re.compile(r"^\s*#\s*(NBVAL_|PYTEST_VALIDATE_)(IGNORE_OUTPUT|SKIP)", re.MULTILINE)
IGNORED_TAGS = {"nbval-ignore-output", "nbval-skip"}
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
LESSONS = [path for path in NOTEBOOKS if path.name[0].isdigit()]
every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def read(path, kind):
    notebook = nbformat.read(path, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def test_lesson_1_and_the_readme_list_every_lesson():
    first, readme = LESSONS[0], LESSONS[0].parents[1] / "README.md"
    linked = "".join(cell.source for cell in read(first, "markdown"))
    for path in LESSONS[1:]:
        assert f"]({path.name}):**" in linked
    for path in NOTEBOOKS:
        assert f"](notebooks/{path.name})" in readme.read_text(encoding="utf-8")


@every_notebook
def test_it_was_executed_in_order_and_without_errors(path):
    cells = read(path, "code")
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [out for cell in cells for out in cell.outputs if out.output_type == "error"]


@every_notebook
def test_running_it_again_would_give_the_same_file(path):
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata.kernelspec.name == "python3"
    assert not [cell.id for cell in notebook.cells if "execution" in cell.metadata]
    assert " at 0x" not in path.read_text(encoding="utf-8")
    for cell in notebook.cells:  # what is printed comes in pieces if the machine is busy
        printed = [output.get("name") for output in cell.get("outputs", [])]
        assert not [name for name, later in pairwise(printed) if name and name == later]


@every_notebook
def test_it_is_short(path):
    words = sum(len(cell.source.split()) for cell in read(path, "markdown"))
    lines = [line for cell in read(path, "code") for line in cell.source.splitlines()]
    assert words <= 2500
    assert sum(bool(line.strip()) for line in lines) <= 200
    assert path.stat().st_size < 1_000_000


@every_notebook
def test_its_code_fits_a_page(path):
    """The rendered pages have room for 84 columns."""
    lines = [line for cell in read(path, "code") for line in cell.source.splitlines()]
    assert [line for line in lines if len(line) > 84] == []


@every_notebook
def test_nbval_compares_nine_cells_in_ten(path):
    cells = read(path, "code")
    ignored = [
        cell
        for cell in cells
        if IGNORED.search(cell.source) or IGNORED_TAGS & set(cell.metadata.get("tags", []))
    ]
    assert 10 * len(ignored) <= len(cells)


@every_notebook
def test_every_picture_has_alternative_text_with_its_numbers(path):
    for cell in read(path, "code"):
        for output in cell.outputs:
            for kind in output.get("data", {}):
                if kind.startswith("image/"):
                    alt = output.metadata.get(kind, {}).get("alt", "")
                    assert re.search(r"\d", alt), f"cell {cell.execution_count}: {alt!r}"


@every_notebook
def test_alternative_text_is_what_stands_below_the_picture(path):
    """There nbval compares it with what the figure's own numbers give."""
    for cell in read(path, "code"):
        printed = "".join(output.get("text", "") for output in cell.outputs)
        for output in cell.outputs:
            for kind, data in output.get("metadata", {}).items():
                if kind.startswith("image/"):
                    assert data["alt"] in printed, f"cell {cell.execution_count}: {data['alt']!r}"


@every_lesson
def test_it_has_exercises_that_check_themselves(path):
    solved = [cell for cell in read(path, "code") if "solution" in cell.metadata.get("tags", [])]
    assert len(solved) >= 2
    told = [cell.source for cell in read(path, "markdown") if "Exercise" in cell.source]
    assert len(told) >= 2


@every_lesson
def test_each_exercise_says_how_long_it_takes_and_how_hard_it_is(path):
    text = "\n\n".join(cell.source for cell in read(path, "markdown"))
    exercises = re.findall(r"^## Exercise \d.*$", text, re.MULTILINE)
    said = r"^## Exercise \d.*\n\n\*\d+ minutes, (?:easy|medium|hard)\.\* "
    assert len(re.findall(said, text, re.MULTILINE)) == len(exercises) >= 2


@every_lesson
def test_the_minutes_of_its_exercises_add_up_to_what_it_says_at_the_top(path):
    top, *others = (cell.source for cell in read(path, "markdown"))
    (stated,) = re.findall(r"\*\*Time:\*\* \d+ minutes, and (\d+) more for the exercises;", top)
    each = re.findall(r"^\*(\d+) minutes, ", "\n\n".join(others), re.MULTILINE)
    assert int(stated) == sum(map(int, each))


@every_lesson
def test_it_says_how_long_its_code_runs_and_is_held_to_it(path):
    conftest = runpy.run_path(str(NOTEBOOKS[0].parent / "conftest.py"))
    limit = conftest["promised"](path)
    assert limit
    assert not list(conftest["late"]({f"notebooks/{path.name}": limit - 1}))
    (line,) = conftest["late"]({f"notebooks/{path.name}": limit + 1})
    assert line.startswith(path.name)


@every_notebook
def test_a_solution_is_folded_and_was_executed(path):
    for cell in read(path, "code"):
        if "solution" in cell.metadata.get("tags", []):
            assert cell.metadata.jupyter.source_hidden
            assert "Right" in "".join(output.get("text", "") for output in cell.outputs)


def hidden(cell, part):
    return cell.metadata.get("jupyter", {}).get(part, False)


@every_lesson
def test_a_guess_hides_its_answer(path):
    """Some output between a guess and the next heading has to be opened."""
    cells = nbformat.read(path, as_version=4).cells
    for number, cell in enumerate(cells):
        if cell.cell_type != "markdown" or "Guess" not in cell.source:
            continue
        following = cells[number + 1 :]
        heads = [n for n, each in enumerate(following) if is_section(each)]
        answers = following[: heads[0]] if heads else following
        assert any(
            each.cell_type == "code" and each.outputs and hidden(each, "outputs_hidden")
            for each in answers
        ), cell.source


def is_section(cell):
    return cell.cell_type == "markdown" and re.search(r"^#+ ", cell.source, re.MULTILINE)


@every_notebook
def test_a_solution_hides_what_it_prints(path):
    for cell in read(path, "code"):
        if "solution" in cell.metadata.get("tags", []):
            assert hidden(cell, "source_hidden") and hidden(cell, "outputs_hidden"), cell.source


def run_again(number, folder, **environment):
    """Let nbval run a copy of a lesson in `folder` and compare what it says."""
    lesson = next(path for path in NOTEBOOKS if path.name.startswith(f"{number:02}-"))
    nbval = ["--nbval", "--nbval-current-env", "-p", "no:cacheprovider", "--rootdir", folder]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *nbval, shutil.copy(lesson, folder)],
        env=os.environ | environment,
        cwd=folder,
        capture_output=True,
        text=True,
    )


# What is broken, the lesson on it, the file, and what stands there instead.
BROKEN = {
    "nothing": (4, "partition.py", {}),
    "block and grid swapped": (
        4,
        "partition.py",
        {"def block_": "def _", "def grid_": "def block_", "def _p": "def grid_p"}
        | {"def _r": "def grid_r"},
    ),
    "their ways back swapped": (
        4,
        "partition.py",
        {"def block_reverse": "def _", "def grid_reverse": "def block_reverse"}
        | {"def _(": "def grid_reverse("},
    ),
    "no scale": (
        3,
        "attention.py",
        {"self.head_dim**-0.5": "1.0"},
    ),
    "bias table transposed": (5, "position.py", {"self.table.flatten": "self.table.mT.flatten"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("number, file, changes", BROKEN.values(), ids=BROKEN)
def test_a_lesson_fails_when_what_it_teaches_is_broken(tmp_path, number, file, changes):
    house = Path(minimaxvit.__file__).parents[1]
    for part in ("minimaxvit", "benchmarks/results"):  # lessons read records too
        shutil.copytree(house / part, tmp_path / part)
    path = tmp_path / "minimaxvit" / file
    source = path.read_text()
    for right, wrong in changes.items():
        assert right in source
        source = source.replace(right, wrong)
    path.write_text(source)
    result = run_again(number, tmp_path, PYTHONPATH=str(tmp_path))
    failed = re.search(r"(\d+) failed", result.stdout)
    assert result.returncode == bool(changes), result.stdout + result.stderr
    assert bool(failed) == bool(changes), result.stdout


@pytest.mark.slow
def test_lesson_9_says_the_same_without_cifar10(tmp_path):
    result = run_again(9, tmp_path, MINIMAXVIT_DATA=str(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
