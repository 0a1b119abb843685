"""Every record of a measurement still is of what is there; one that is not has to be taken anew."""

import ast
import json
from argparse import Namespace
from itertools import pairwise
from pathlib import Path
from statistics import mean

import compact
import equal_time
import family
import freshness
import modernize
import pytest
import recipe_changes
import rumor
import transfer

from minimaxvit.seeing.draw.comparison import by_name, pooled_deviation
from minimaxvit.training import Recipe
from minimaxvit.weights import configuration

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
RECORDS = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
TIMES = [name for name, record in RECORDS.items() if "files" in record]
RUNS = [name for name, record in RECORDS.items() if "history" in record]
ROWS = {
    **{
        (record, name): (equal_time.NETWORKS[name], equal_time.RECIPE)
        for record in RECORDS
        if record.startswith("equal-time-")
        for name in dict.fromkeys(row["name"] for row in RECORDS[record]["rows"])
    },
    **{
        ("recipe-changes", name): (equal_time.COMPACT, recipe_changes.changed(name))
        for name in recipe_changes.CHANGES
        if "recipe-changes" in RECORDS
    },
    **{
        (record, name): (family.NETWORKS[name], family.RECIPE)
        for record in RECORDS
        if record.startswith("family-")
        for name in dict.fromkeys(row["name"] for row in RECORDS[record]["rows"])
    },
    **{
        ("modernize", name): (modernize.NETWORKS[name], modernize.RECIPE)
        for name in modernize.NETWORKS
        if "modernize" in RECORDS
    },
}


def test_every_record_says_what_it_depends_on():
    silent = {name for name, kept in RECORDS.items() if not {"files", "first_losses"} & set(kept)}
    assert silent == set()


@pytest.mark.parametrize("name", TIMES)
def test_a_record_of_times_is_of_the_files_that_are_there(name):
    stale = freshness.changed(RECORDS[name]["files"])
    assert stale == [], f"take {name} anew: `{RECORDS[name]['command']}`"


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_run_would_begin_as_its_record_says(name):
    record = RECORDS[name]
    losses = freshness.first_losses(configuration(record["config"]), Recipe(**record["recipe"]))
    stale = f"take {name} anew: `{record['command']}`"
    assert freshness.alike(record["first_losses"], losses), stale


@pytest.mark.parametrize("name", rumor.CASES)
def test_the_rumor_would_begin_as_its_record_says(name):
    record = RECORDS["rumor"]
    stale = f"remove rumor.json, and take it anew: `{record['command']}`"
    losses = rumor.first_losses(name)
    assert freshness.alike(record["first_losses"][name], losses, tolerance=1e-5), stale


@pytest.mark.parametrize(
    "network, seed, on_gpu, name",
    [
        ("compact", 0, False, "compact-cifar10-80-steps"),
        ("compact", 2, True, "gpu-cifar10-80-steps-seed-2"),
        ("hybrid", 0, False, "hybrid-cifar10-80-steps"),
        ("hybrid", 1, True, "gpu-hybrid-cifar10-80-steps-seed-1"),
    ],
)
def test_no_run_takes_the_record_of_another(network, seed, on_gpu, name):
    options = Namespace(network=network, data="cifar10", steps=80, seed=seed)
    assert compact.name_of(options, on_gpu) == name


def test_a_rumor_spread_for_other_steps_is_spread_again(monkeypatch):
    monkeypatch.setattr(rumor, "CASES", {"pair": ((), 16, 1000, 64)})
    assert rumor.still_a_case({"name": "pair", "steps": 1000})
    assert not rumor.still_a_case({"name": "pair", "steps": 999})
    assert not rumor.still_a_case({"name": "renamed", "steps": 1000})


def test_every_rumor_was_spread_for_its_steps_with_every_seed():
    rows = {(row["name"], row["seed"], row["steps"]) for row in RECORDS["rumor"]["rows"]}
    wanted = {(name, case[2]) for name, case in rumor.CASES.items()}
    assert rows == {(name, seed, steps) for name, steps in wanted for seed in rumor.SEEDS}


def test_no_rumor_is_heard_where_it_cannot_arrive():
    rows = RECORDS["rumor"]["rows"]
    luck = 0.01  # of guesses, in 2,000 rumors
    assert [row for row in rows if row["accuracy"] > row["bound"] + luck] == []
    assert [row for row in rows if row["most_unreached"] and row["most_unreached"] > 0.45] == []


@pytest.mark.slow
@pytest.mark.parametrize("record, name", ROWS)
def test_a_row_would_begin_as_its_record_says(record, name):
    losses = freshness.first_losses(*ROWS[record, name])
    stale = f"take {record} anew: `{RECORDS[record]['command']}`"
    assert freshness.alike(RECORDS[record]["first_losses"][name], losses), stale


def test_what_lesson_8_says_of_other_cases_is_in_the_record():
    record = RECORDS["field-width"]
    grids = [i for i, name in enumerate(record["layers"]) if name.endswith("GridAttention")]
    narrower = {}
    for row in record["rows"]:
        for i in grids:  # half of the field
            one, others = row["trained"][i][0], [other[i][0] for other in row["untrained"]]
            if one <= max(others):
                narrower[row["name"], record["layers"][i]] = one, min(others), max(others)
    assert narrower == {("images of noise", "2.1 GridAttention"): (68, 70, 75)}
    assert [row["name"] for row in record["rows"]][-1] == "CIFAR-10" and len(record["rows"]) == 8


def test_what_lesson_13_says_of_the_steps_to_convnext_is_in_the_record():
    found = by_name(RECORDS["modernize"]["rows"])
    steps = [100 * mean(found[name]) for name in modernize.NETWORKS]
    sure = 2.5 * 100 * pooled_deviation(found)  # of two means, with two seeds each
    depthwise, first, kernel, norm, convnext = (b - a for a, b in pairwise(steps))
    assert abs(depthwise) < sure and abs(kernel) < sure
    assert all(1 < -change < 2 and -change > sure for change in (first, norm, convnext))
    assert 5.5 < steps[0] - steps[-1] < 6 and 5 < steps[1] - steps[-1] < 6


CODE = '"""Why."""\n\n\ndef twice(x):\n    """Twice x."""\n    return 2 * x  # so\n'


@pytest.mark.parametrize(
    "other, same",
    [
        (CODE.replace("Why", "Wherefore").replace("  # so", "").replace("Twice", "Double"), True),
        (CODE.replace("2 * x", "(2*x)"), True),
        (CODE.replace("2 * x", "3 * x"), False),
        (CODE.replace("twice", "double"), False),
    ],
    ids=["words", "layout", "number", "name"],
)
def test_a_hash_follows_what_code_does(other, same, tmp_path, monkeypatch):
    monkeypatch.setattr(freshness, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text(CODE)
    files = freshness.hashes("a.py")
    assert freshness.changed(files) == []
    (tmp_path / "a.py").write_text(other)
    assert ast.parse(other) and freshness.changed(files) == ([] if same else ["a.py"])
    (tmp_path / "a.py").unlink()
    assert freshness.changed(files) == ["a.py"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"muon_lr": 0.011},
        {"label_smoothing": 0.09},
        {"weight_decay": 0.2},
        {"translate": 3},
        {"grad_clip": 0.0},
        {"alternating_flip": False},
        {"whiten": False},
    ],
    ids=lambda change: next(iter(change)),
)
def test_first_losses_see_a_change_of_the_recipe(change):
    config, recipe = equal_time.NETWORKS["MBConv only"], equal_time.RECIPE
    changed = Recipe(**{**vars(recipe), **change})
    before, after = (freshness.first_losses(config, each) for each in (recipe, changed))
    assert freshness.alike(before, freshness.first_losses(config, recipe), tolerance=1e-6)
    assert not freshness.alike(before, after)


@pytest.mark.slow
def test_transfer_would_begin_as_its_record_says():
    record = RECORDS["transfer"]
    stale = f"remove transfer.json, and take it anew: `{record['command']}`"
    assert freshness.alike(record["first_losses"], transfer.first_losses()), stale
    assert set(record["rows"]) == set(transfer.JOBS)
    assert transfer.probed("shapes", "compact", (5,))["5"] == pytest.approx(
        record["rows"]["probe, shapes, compact"]["5"], abs=0.005
    ), stale
