"""The README's tables say what the records say, also while a measurement is still under way."""

import json
import re
from pathlib import Path

import compact_tables
import family_tables
import layer_table
import pytest
import readme
import tables

from minimaxvit import CONFIGS


def rows(**accuracies):
    """{name: [accuracy of each seed]} as rows of a record."""
    return [
        {
            "name": name,
            "seed": seed,
            "epochs": 1.5,
            "source": "CIFAR-10",
            "parameters": 1234,
            "machine": {"processor": "a CPU"},
            "result": {"accuracy": accuracy, "accuracy_with_flip": accuracy},
        }
        for name, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]


SWIN_IS_NEW = {"nat": [0.40, 0.42], "vit": [0.60, 0.62], "mixer": [0.61, 0.63], "swin": [0.5]}
BY_TIME = {
    "seconds": 240,
    "steps": {"nat": 100, "vit": 500, "mixer": 600, "swin": 800, "axial": 900},
    "command": "python by_time.py",
    "rows": rows(**SWIN_IS_NEW),
}
BY_STEPS = {
    "train_size": 10_000,
    "command": "python by_steps.py",
    "rows": rows(nat=[0.7], axial=[0.6]),
}


@pytest.fixture
def keep(tmp_path, monkeypatch):
    """Put records where the tables look for them, and no others."""
    folder = tmp_path / "benchmarks" / "results"
    folder.mkdir(parents=True)
    monkeypatch.setattr(readme, "ROOT", tmp_path)

    def put(**records):
        for name, record in records.items():
            (folder / f"{name.replace('_', '-')}.json").write_text(json.dumps(record))

    return put


def cells(text):
    """Read a table back: {first cell: the other cells of its row}."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return {first: others for first, *others in lines[2:]}


def test_a_family_of_which_nothing_is_trained_has_no_table(keep):
    assert family_tables.family() == ""
    keep(family_240_s={key: BY_TIME[key] for key in ("seconds", "steps", "command")})
    assert family_tables.family() == "" and tables.results().startswith("Each table is made from")


def test_a_family_that_is_trained_by_both_shows_each_network_once_the_fastest_learner_first(keep):
    keep(family_240_s=BY_TIME, family_800_steps=BY_STEPS)
    text = family_tables.family()
    found = cells(text)
    assert list(found) == ["mixer", "vit", "swin", "nat", "axial"]
    assert found["mixer"][-4:] == ["–", "–", "62.0 ± 1.4", "1 to 2"]
    assert found["swin"][-4:] == ["–", "–", "50.0 (one seed)", "3"]
    assert found["nat"][-4:] == ["70.0 (one seed)", "–", "41.0 ± 1.4", "4"]
    assert found["axial"][-4:] == ["60.0 (one seed)", "–", "–", "–"]
    assert [found[name][2] for name in found] == [
        "400 ms",
        "480 ms",
        "300 ms",
        "2,400 ms",
        "267 ms",
    ]
    assert {each[0] for each in found.values()} == {"1,234"}
    told = " ".join(text.split())
    assert "1.5, of 10,000 images (one seed each tells no standard deviation" in told
    assert "fit into 240 s (2 seeds, pooled deviation 1.4 points; `python by_time.py`)" in told
    assert "vit: 480 ms, 61.0 ± 1.4" in text and "(benchmarks/results/family-240-s.png)" in text


def test_a_family_trained_by_steps_alone_has_no_times_and_no_chart(keep):
    keep(family_800_steps=BY_STEPS)
    text = family_tables.family()
    assert {name: each[2] for name, each in cells(text).items()} == {"nat": "–", "axial": "–"}
    assert "python by_steps.py" in text and "png" not in text and "Equal time" not in text


FAR = {
    "compact": ("16", "3 layers"),  # MBConv, block, grid
    "swin": ("16", "7 layers"),
    "nat": ("49", "4 layers"),
    "resnet": ("25", "8 layers"),  # two tokens a side and unit, 15 to see
    "vit": ("256", "1 layer"),
    "mixer": ("256", "1 layer"),  # whose weights are of one map
    "xcit": ("25", "8 layers"),  # without its gate
}


@pytest.mark.parametrize("name", FAR)
def test_the_first_stage_sees_as_far_as_its_layers_do(name):
    assert family_tables.how_far(family_tables.first_stage(name)) == FAR[name]


def test_networks_that_attend_in_a_later_stage_alone_are_told():
    names = [name for name, config in CONFIGS.items() if config.image_size == 32]
    later = {name for name in names if family_tables.attends_later(name)}
    assert later == {"coatnet", "hybrid", "visual_tokens", "xcit"}


def test_the_cost_of_layers_grows_as_their_products_say():
    costs = layer_table.growth()
    assert costs["gated attention (ConViT)"] == []
    c = 64
    for i, n in enumerate(side**2 for side in layer_table.SIDES):
        linear = 12 * n * c**2  # projections, and a feed-forward four times as wide
        assert costs["block, grid"][i] == 2 * (linear + 2 * n * 16 * c)
        assert costs["global attention (ViT)"][i] == linear + 2 * n * n * c
        assert costs["relative attention (CoAtNet)"][i] == linear + 2 * n * n * c
        assert costs["token mixing (MLP-Mixer)"][i] == 8 * n * c**2 + 2 * n * (c // 2) * c
        assert costs["two neighborhoods of 7 x 7 (NAT)"][i] == 2 * (linear + 2 * n * 49 * c)


def test_runs_on_gpus_are_named_after_their_network_and_their_gpu(keep):
    def run(seed, gpu, option=""):
        return {
            "command": "minimaxvit train" + option,
            "seed": seed,
            "machine": {"gpu": gpu},
            "versions": {"torch": "2.11.0"},
            "data": {"source": "CIFAR-10", "train_size": 1000},
            "recipe": {"batch_size": 500},
            "history": [{"step": 8}],
            "result": {"accuracy": 0.9, "accuracy_with_flip": 0.91, "seconds": 60},
        }

    keep(
        gpu_c=run(1, "NVIDIA H100", " --network swin --seed 1"),
        gpu_b=run(0, "NVIDIA H100", " --network swin"),
        gpu_a=run(0, "NVIDIA H200"),
    )
    lines = compact_tables.on_a_gpu().splitlines()
    wanted = "interrupted | 1.0 min | 4.0 | 90.0% | 91.0% | `minimaxvit train"
    assert lines[-3:] == [
        f"| compact | H200 | {wanted}` |",
        f"| swin | H100 | {wanted} --network swin` |",
        f"| swin | H100 | {wanted} --network swin --seed 1` |",
    ]


def test_layers_that_stay_behind_their_bound_are_named(keep):
    accuracies = {"block, grid": [1.0, 0.995], "global attention (ViT)": [1.0, 0.98]}
    kept = [
        {"name": name, "seed": seed, "bound": 1, "reach": 1, "accuracy": accuracy, "steps": 1000}
        for name, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]
    keep(rumor={"rows": kept})
    text = layer_table.layers()
    assert "within a point of their bound, but for global attention (ViT). " in text.replace(
        "\n", " "
    )
    found = cells(text)
    assert found["block, grid"][:4] == ["100%", "100.0", "99.8 ± 0.4", "1,000"]
    assert found["block, grid"][-1] == "1.00" and found["global attention (ViT)"][-1] == "1.83"
    assert found["gated attention (ConViT)"] == ["–"] * 9


def test_every_picture_of_the_readme_is_there():
    root = Path(tables.__file__).parents[1]
    text = (root / "README.md").read_text()
    pictures = re.findall(r"^!\[.*\]\((.+)\)$", text, re.MULTILINE)
    assert len(pictures) >= 2
    assert all((root / picture).is_file() for picture in pictures)
