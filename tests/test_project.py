"""What the repository promises of itself: the house, its size, and the numbers in the README."""

import ast
from pathlib import Path

import pytest

from benchmarks import compact_tables, tables
from minimaxvit import CONFIGS, MaxViT
from minimaxvit.seeing import draw_partitions, photograph
from minimaxvit.weights import configuration

ROOT = Path(__file__).parent.parent
CORE = [
    *("partition", "position", "attention", "layers", "steps"),
    *("mbconv", "block", "network", "configs"),
]
# Floors of the house; a room imports only from below, or from before it on its own floor.
FLOORS = [
    ["fast"],
    *([room] for room in CORE[:7]),
    ["pixels", "sizes"],
    *([room] for room in CORE[7:]),
    ["atomic_write", "locked", "modes", "prepare"],
    ["dense", "resize", "weights", "timm_weights", "summary"],
    ["official_weights", "pretrained_networks"],
    ["relatives"],
    ["datasets"],
    ["training"],
    ["timm_models"],
    ["seeing"],
    ["experiments"],
    ["exercises"],
    ["commands"],
    ["__init__", "__main__"],
]
ORDER = [room for floor in FLOORS for room in floor]


def files():
    return sorted((ROOT / "minimaxvit").rglob("*.py"))


def room(path):
    return path.relative_to(ROOT / "minimaxvit").with_suffix("").parts[0]


def imported_rooms(path):
    depth = len(path.relative_to(ROOT / "minimaxvit").parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == depth and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
def test_imports_run_one_way(path):
    assert room(path) in ORDER, "a new room needs a floor"
    for other in imported_rooms(path):
        assert ORDER.index(other) < ORDER.index(room(path)), f"{room(path)} imports {other}"


def test_the_import_order_is_really_read():
    rooms = {"attention", "layers", "mbconv", "partition", "steps"}
    assert set(imported_rooms(ROOT / "minimaxvit" / "block.py")) == rooms
    groups = ROOT / "minimaxvit" / "seeing" / "draw" / "partitions.py"
    assert "partition" in set(imported_rooms(groups))


def test_the_core_stays_small_and_needs_torch_and_einops_alone():
    paths = [ROOT / "minimaxvit" / f"{name}.py" for name in CORE]
    lines = [line for path in paths for line in path.read_text().splitlines()]
    assert len(lines) < 600
    assert max(map(len, lines)) <= 100
    outside = set().union(*map(imported_packages, paths))
    standard = {"collections", "dataclasses", "functools", "inspect"}
    assert outside == {"torch", "einops"} | standard


def test_the_package_never_imports_what_only_tests_need():
    for path in files():
        if room(path) == "timm_models":  # for those who have timm; no other file imports it
            continue
        assert not {"timm", "torchvision", "onnx", "onnxruntime"} & set(imported_packages(path)), (
            path
        )
        assert "timm_models" not in imported_rooms(path), path


def imported_packages(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def test_the_picture_of_the_readme_is_described_by_its_own_numbers():
    _, sentence = draw_partitions(photograph(), 12, 4)
    assert f"![{sentence}](notebooks/blocks-and-grids.png)" in (ROOT / "README.md").read_text()


def test_the_readme_says_what_was_measured():
    told = (ROOT / "README.md").read_text().split(tables.BEGIN)[1].split(tables.END)[0]
    assert told == tables.results(), "run `python benchmarks/tables.py`"
    assert all(table() in told for table in (tables.budgets, tables.speeds))


@pytest.mark.parametrize("network", ["compact", "hybrid"])
def test_what_the_readme_says_of_a_gpu_is_in_the_records(network):
    runs = [
        run for run in tables.records("gpu-*.json") if compact_tables.network_of(run) == network
    ]
    reached = [run["result"]["accuracy_with_flip"] for run in runs]
    best, other = sorted((f"{100 * flipped:.1f}" for flipped in reached), reverse=True)
    told = (ROOT / "README.md").read_text().split(tables.BEGIN)[0]
    assert f"right on {best} and {other} %" in told


def test_records_are_of_the_network_that_is_there():
    parameters = sum(weight.numel() for weight in MaxViT(CONFIGS["compact"]).parameters())
    runs = tables.records("compact-*.json")
    assert {run["data"]["source"] for run in runs} == {"CIFAR-10 (JPEG)", "shapes"}
    for run in runs:
        assert run["parameters"] == parameters
        assert configuration(run["config"]) == CONFIGS["compact"]
