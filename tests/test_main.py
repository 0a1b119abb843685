"""The command line from end to end, with a run so short that it learns nothing."""

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from explored import carried
from PIL import Image

from minimaxvit import CONFIGS, commands, load
from minimaxvit.__main__ import main
from minimaxvit.commands import confusion_table
from minimaxvit.datasets import load_shapes
from minimaxvit.datasets.cifar10 import CIFAR10_URL
from minimaxvit.datasets.labeled_images import LabeledImages
from minimaxvit.training import Recipe, choose_device, fit, run as training_run

TRAINING, TEST = load_shapes(train_size=120, test_size=40)
TRAIN = "train --data shapes --steps 3 --batch-size 16 --val-size 20 --device cpu --no-bf16 --out"


def drawn(name, path=None):
    return TRAINING, TEST


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Train for three steps: the folder of the run and what was told."""
    folder = tmp_path_factory.mktemp("runs") / "short run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "load_data", drawn)
        main([*TRAIN.split(), str(folder)])
    return folder


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(commands, "load_data", drawn)


def fails(*arguments):
    """The single line in which a command tells what went wrong."""
    with pytest.raises(SystemExit) as caught:
        main(list(map(str, arguments)))
    told = caught.value.code
    assert isinstance(told, str) and told.startswith("minimaxvit: ") and "\n" not in told
    return told


def usage_error(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("minimaxvit: ") and told.count("\n") == 1 and "--help" in told
    return told


# summary


@pytest.mark.parametrize("name", CONFIGS)
def test_every_network_can_be_summed_up_at_its_own_size(name, capsys):
    main(["summary", name])
    side, config = CONFIGS[name].image_size, CONFIGS[name]
    first, *lines = capsys.readouterr().out.splitlines()
    window = f"window {config.window}, " if config.window else ""
    assert first == f"{name}: images of {side} x {side}, {window}{config.num_classes} classes"
    assert any(line.startswith("total ") for line in lines)


def test_another_size_may_be_given_if_it_fits(capsys):
    main(["summary", "compact", "--size", "32", "64"])
    assert "compact: images of 32 x 64" in capsys.readouterr().out
    assert "33 x 32" in fails("summary", "compact", "--size", 33, 32)


@pytest.mark.parametrize(
    "arguments",
    ["summary huge", "train --network huge", "train --data imagenet", "fly", "", "data mnist"],
)
def test_an_unknown_or_missing_argument_is_a_usage_error(arguments, capsys):
    told = usage_error(capsys, *arguments.split())
    assert "choose from" in told or "required" in told


def test_python_m_runs_it_and_reports_errors_without_a_traceback(tmp_path):
    command = [sys.executable, "-m", "minimaxvit"]
    ran = subprocess.run([*command, "evaluate", tmp_path], capture_output=True, text=True)
    assert ran.returncode == 1 and ran.stdout == ""
    assert (
        ran.stderr.startswith("minimaxvit: there is no finished run in")
        and ran.stderr.count("\n") == 1
    )
    ran = subprocess.run([*command, "summary", "compact"], capture_output=True, text=True)
    assert ran.returncode == 0 and ran.stdout.startswith("compact: ")


# data


def test_a_nonsense_address_of_data_is_reported_in_one_line(tmp_path):
    assert "there is no archive nonsense" in fails("data", "cifar10", "nonsense", "--to", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_data_are_fetched_from_the_official_address_unless_another_is_given(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(commands, "download_cifar10", lambda *args: asked.append(args) or "there")
    main(["data", "cifar10"])
    main(["data", "cifar10", "copy.tar.gz", "--to", "elsewhere"])
    assert asked == [(CIFAR10_URL, "data"), ("copy.tar.gz", "elsewhere")]
    assert capsys.readouterr().out == 2 * "CIFAR-10 is in there\n"


def test_data_that_are_not_there_are_reported_in_one_line(tmp_path):
    told = fails("train", "--data", "cifar10", "--data-folder", tmp_path, "--out", tmp_path / "run")
    assert f"no CIFAR-10 in {tmp_path}" in told and "minimaxvit data cifar10" in told
    assert not (tmp_path / "run").exists()


# train


def test_a_run_leaves_its_weights_and_a_whole_record(run):
    assert sorted(path.name for path in run.iterdir()) == ["model.safetensors", "record.json"]
    record = json.loads((run / "record.json").read_text())
    assert record["command"] == f"minimaxvit {TRAIN} '{run}'"  # it can be pasted into a shell
    assert record["config"]["dims"] == list(CONFIGS["compact"].dims)
    assert record["config"]["num_classes"] == 10
    assert record["recipe"]["steps"] == 3 and record["recipe"]["batch_size"] == 16
    assert record["data"] == {
        "source": "shapes",
        "image_size": [32, 32],
        "classes": list(TEST.classes),
        "sha256": [TRAINING.sha256(), TEST.sha256()],
        "train_size": 100,
        "val_size": 20,
        "test_size": 40,
    }
    assert record["seed"] == 0
    assert record["versions"]["torch"] == torch.__version__
    assert record["versions"]["python"] == platform.python_version()
    assert {"minimaxvit", "numpy"} < set(record["versions"])
    machine = record["machine"]
    assert (machine["device"], machine["bf16"], machine["gpu"]) == ("cpu", False, None)
    assert machine["threads"] == torch.get_num_threads() and machine["processor"]
    assert [epoch["step"] for epoch in record["history"]] == [3]
    assert record["history"][0]["loss"] > 0 and 0 <= record["result"]["accuracy"] <= 1
    assert record["result"]["seconds"] > 0
    model = load(run / "model.safetensors")
    assert record["parameters"] == sum(parameter.numel() for parameter in model.parameters())


def test_data_device_and_accuracy_are_printed(tmp_path, capsys, few):
    main([*TRAIN.split(), str(tmp_path / "run"), "--seed", "3"])
    first, *_, last = capsys.readouterr().out.splitlines()
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["seed"] == 3
    assert first.startswith("Training compact on shapes, on cpu in fp32; ")
    assert last.startswith("Test accuracy on shapes after ")
    assert f"{record['result']['accuracy']:.2%}" in last and "with test-time flip" in last


def test_a_finished_run_is_not_trained_again_and_no_other_is_put_over_it(run, capsys, few):
    before = (run / "record.json").read_bytes()
    main([*TRAIN.split(), str(run)])
    assert "Test accuracy on shapes" in capsys.readouterr().out
    told = fails(*TRAIN.split(), run, "--seed", 1)
    assert "another run" in told and "seed" in told
    assert (run / "record.json").read_bytes() == before


def test_data_are_those_that_were_asked_for(monkeypatch, tmp_path):
    asked = []

    def refuse(*args):
        asked.append(args)
        raise ValueError("enough")

    monkeypatch.setattr(commands, "load_data", refuse)
    fails("train", "--out", tmp_path)
    fails("train", "--out", tmp_path, "--data", "cifar10", "--data-folder", "there")
    assert asked == [("any", None), ("cifar10", "there")]


@pytest.mark.parametrize(
    "wrong",
    [
        "--batch-size 101",
        "--network tiny",
        "--ema 2",
        "--warmup 2",
        "--label-smoothing 2",
        "--batch-size 0",
        "--epochs 0",
        "--steps 0",
        "--val-size -1",
        "--muon-lr -1",
        "--steps -1",
        "--cutout 40",
        "--translate 40",
        "--translate -1",
        "--device nonsense",
    ],
)
def test_a_recipe_that_cannot_be_is_reported_in_one_line(wrong, tmp_path, few):
    fails(*TRAIN.split(), tmp_path / "run", *wrong.split())
    assert not (tmp_path / "run" / "record.json").exists()


@pytest.mark.parametrize("network", ["tiny", "xlarge"])
def test_a_network_for_larger_images_is_refused_with_those_that_fit(network, tmp_path, few):
    told = fails(*TRAIN.split(), tmp_path / "run", "--network", network)
    assert f"{network} needs images of 224 x 224 pixels" in told and "shapes are 32 x 32" in told
    fitting = ", ".join(name for name, config in CONFIGS.items() if config.image_size == 32)
    assert told.endswith(f"choose one of {fitting}") and "compact" in fitting
    assert not (tmp_path / "run").exists()


def test_a_run_is_kept_under_the_names_of_network_and_data(tmp_path, monkeypatch, few):
    monkeypatch.chdir(tmp_path)
    main([*TRAIN.split()[:-1], "--network", "convolutions"])
    assert (tmp_path / "runs" / "convolutions-shapes" / "record.json").is_file()


@pytest.mark.parametrize("flag, name", [("--no-whiten", "whiten"), ("--no-muon", "muon")])
def test_parts_of_the_recipe_can_be_switched_off(flag, name, tmp_path, few):
    main([*TRAIN.split(), str(tmp_path / "run"), flag])
    assert json.loads((tmp_path / "run" / "record.json").read_text())["recipe"][name] is False


@pytest.mark.parametrize(
    "when, said",
    [
        (0, "stopped before the first checkpoint; nothing is kept"),
        (2, "stopped; the same command goes on from the last checkpoint"),
    ],
)
def test_a_stopped_run_says_whether_it_can_go_on(when, said, monkeypatch, tmp_path, few):
    steps, step = [], training_run.train_step

    def stopping(*arguments):
        if len(steps) == when:
            raise KeyboardInterrupt
        steps.append(1)
        return step(*arguments)

    monkeypatch.setattr(training_run, "train_step", stopping)
    short = TRAIN.replace("--steps 3 --batch-size 16", "--steps 4 --batch-size 50").split()
    assert fails(*short, tmp_path / "run") == f"minimaxvit: {said}"
    assert (tmp_path / "run" / "checkpoint.pt").is_file() == (when == 2)


def test_what_nobody_foresaw_says_so_and_how_to_report_it(monkeypatch, tmp_path):
    def stumble(*_):
        raise KeyError("half\ndone")

    monkeypatch.setattr(commands, "load_data", stumble)
    told = fails("train", "--out", tmp_path)
    assert told.startswith("minimaxvit: KeyError: ") and "please report it" in told
    with pytest.raises(KeyError):
        main(["train", "--debug"])


# evaluate


def test_evaluation_repeats_the_result_and_counts_every_image(run, capsys, few):
    main(["evaluate", str(run), "--device", "cpu"])
    first, header, *rows = capsys.readouterr().out.splitlines()
    record = json.loads((run / "record.json").read_text())
    accuracy = record["result"]["accuracy"]
    with_flip = record["result"]["accuracy_with_flip"]
    assert first == (
        f"Accuracy on 40 test images of shapes: {accuracy:.2%}, "
        f"or {with_flip:.2%} with test-time flip"
    )
    counts = torch.tensor([list(map(int, row.split()[1:])) for row in rows])
    assert [row.split()[0] for row in rows] == list(TEST.classes)
    assert header.split()[3:] == [name[:6] for name in TEST.classes]
    assert torch.equal(counts.sum(1), TEST.labels.bincount(minlength=10))
    assert counts.trace() == round(accuracy * 40)
    assert len({len(line) for line in (header, *rows)}) == 1


def test_a_row_of_the_table_is_a_true_class():
    table = confusion_table(torch.tensor([[1, 2], [3, 4]]), ("cat", "automobile"))
    assert [line.split() for line in table.splitlines()] == [
        ["true", "/", "predicted", "cat", "automo"],
        ["cat", "1", "2"],
        ["automobile", "3", "4"],
    ]


def test_evaluation_asks_for_the_data_of_the_run(run, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(commands, "load_data", lambda *args: asked.append(args) or drawn(*args))
    main(["evaluate", str(run)])
    copy = shutil.copytree(run, tmp_path / "copy")
    record = json.loads((run / "record.json").read_text())
    record["data"]["source"] = "a stand-in"
    (copy / "record.json").write_text(json.dumps(record))
    main(["evaluate", str(copy), "--data-folder", "there"])
    main(["evaluate", str(run), "--data", "any"])
    assert asked == [("shapes", None), ("cifar10", "there"), ("any", None)]


def test_evaluation_says_if_the_images_are_not_those_of_the_record(run, monkeypatch, capsys):
    monkeypatch.setattr(commands, "load_data", lambda *_: (TRAINING, TEST[:30]))
    main(["evaluate", str(run)])
    assert "Note: these are not the test images of its record" in capsys.readouterr().out
    other = LabeledImages(TEST.images, TEST.labels, tuple("abcdefghij"), "others")
    monkeypatch.setattr(commands, "load_data", lambda *_: (TRAINING, other))
    told = fails("evaluate", run, "--data", "cifar10")
    assert "trained on shapes, 32 x 32, not on others" in told


def test_pretrained_networks_predict_at_once(tmp_path, capsys):
    path = tmp_path / "figure.png"
    Image.fromarray(TEST.images[0].permute(1, 2, 0).numpy()).save(path)
    main(["predict", str(path), "--run", "compact-shapes"])
    assert "trained on shapes" in capsys.readouterr().out
    main(["predict", str(path)])
    assert "trained on CIFAR-10" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["evaluate {}", "predict picture.png --run {}"])
def test_without_a_finished_run_one_line_says_how_to_get_one(command, tmp_path):
    told = fails(*command.format(tmp_path / "none").split())
    assert f"no finished run in {tmp_path / 'none'}" in told
    assert f"minimaxvit train --out {tmp_path / 'none'}" in told


def test_a_run_whose_weights_are_gone_is_refused(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    (copy / "model.safetensors").unlink()
    assert "no weights file" in fails("evaluate", copy)


# predict


def picture(path, mode, width=40, height=40, **options):
    pixels = np.random.default_rng(0).integers(256, size=(height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


@pytest.mark.parametrize(
    "name, mode, width, height",
    [
        ("color.png", "RGB", 32, 32),
        ("photo.jpg", "RGB", 50, 50),
        ("gray.png", "L", 40, 40),
        ("gray.jpg", "L", 40, 40),
        ("see-through.png", "RGBA", 40, 40),
        ("gray see-through.png", "LA", 40, 40),
        ("palette.png", "P", 40, 40),
        ("print.jpg", "CMYK", 40, 40),
        ("wide.png", "RGB", 90, 40),
        ("tall.JPEG", "RGB", 33, 70),
        ("speck.png", "RGB", 1, 2),
    ],
)
def test_the_top_5_classes_are_printed_for_any_image(
    name, mode, width, height, run, tmp_path, capsys
):
    path = picture(tmp_path / name, mode, width, height)
    main(["predict", str(path), "--run", str(run)])
    *top, source = capsys.readouterr().out.splitlines()
    probabilities = [float(line.split("%")[0]) for line in top]
    assert (
        len(top) == 5
        and probabilities == sorted(probabilities, reverse=True)
        and 0 < sum(probabilities) <= 100.3
    )
    assert len({line.split()[1] for line in top} & set(TEST.classes)) == 5
    assert "trained on shapes" in source and "32 x 32" in source


def test_prediction_is_that_of_the_network(run, tmp_path, capsys):
    image = TEST.images[0]
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / "figure.png")
    main(["predict", str(tmp_path / "figure.png"), "--run", str(run)])
    with torch.no_grad():
        logits = load(run / "model.safetensors")(image[None] / 127.5 - 1)
    probability, best = logits.softmax(1)[0].max(0)
    first = capsys.readouterr().out.splitlines()[0]
    assert first == f"{probability:6.1%}  {TEST.classes[best]}"


def not_a_picture(path):
    path.write_text("no picture")


def nothing(path):
    path.touch()


def cut_short(path):
    picture(path, "RGB", format="PNG" if path.suffix == ".png" else "JPEG")
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize("name", ["picture.png", "picture.jpg"])
@pytest.mark.parametrize("make", [not_a_picture, nothing, cut_short])
def test_an_image_that_cannot_be_read_is_reported_in_one_line(make, name, run, tmp_path):
    make(tmp_path / name)
    assert f"{name} cannot be read" in fails("predict", tmp_path / name, "--run", run)


def test_an_image_that_is_not_there_is_reported_in_one_line(run, tmp_path):
    path = tmp_path / "absent.png"
    assert fails("predict", path, "--run", run) == f"minimaxvit: there is no image {path}"
    assert "cannot be read" in fails("predict", tmp_path, "--run", run)


# explore


def test_a_page_is_written_for_images_of_any_size(run, tmp_path, capsys):
    paths = [
        picture(tmp_path / "a <b>.png", "RGB", 32, 32),
        picture(tmp_path / "c.jpg", "L", 90, 40),
    ]
    out = tmp_path / "pages" / "explorer.html"
    main(["explore", *map(str, paths), "--run", str(run), "--out", str(out)])
    page = out.read_text()
    assert f"Open {out} in a browser" in capsys.readouterr().out
    assert f"<h1>What the network in {run} attends to</h1>" in page and "a <b>.png" not in page
    note = "c.jpg (the center square of 40 x 90 pixels, resized from 40 x 40 to 32 x 32)"
    assert [image["name"] for image in carried(page)["images"]] == ["a <b>.png", note]
    assert [path.name for path in out.parent.iterdir()] == ["explorer.html"]


def test_what_a_network_cannot_answer_is_said(tmp_path, capsys):
    path, out = picture(tmp_path / "a.png", "RGB"), tmp_path / "page.html"
    for run, classes in {
        "compact": "CIFAR-10 classes (airplane, automobile, bird, cat",
        "compact-shapes": "shape classes (disc, ring, square",
    }.items():
        main(["explore", str(path), "--run", run, "--out", str(out)])
        note = f"Note: whatever an image shows, {run} answers with one of ten {classes}"
        assert note in capsys.readouterr().out
        assert carried(out.read_text())["answers"] == f"one of ten {classes.split(' (')[0]}"


def test_a_page_that_cannot_be_written_leaves_nothing(run, tmp_path):
    path, folder = picture(tmp_path / "a.png", "RGB"), tmp_path / "folder"
    folder.mkdir()
    fails("explore", path, "--run", run, "--out", folder)
    assert not list(folder.iterdir()) and {each.name for each in tmp_path.iterdir()} == {
        "a.png",
        "folder",
    }


def test_exploring_what_is_not_there_is_reported_in_one_line(run, tmp_path):
    path = tmp_path / "absent.png"
    assert fails("explore", path, "--run", run) == f"minimaxvit: there is no image {path}"


@pytest.fixture(scope="module")
def larger_run(tmp_path_factory):
    """A run on images of 64 x 64."""
    folder = tmp_path_factory.mktemp("larger") / "run"
    large = [
        LabeledImages(
            torch.nn.functional.interpolate(data.images.float(), (64, 64)).byte(),
            data.labels,
            data.classes,
            "larger shapes",
        )
        for data in drawn("any")
    ]
    recipe = Recipe(steps=1, batch_size=16, val_size=20)
    fit(CONFIGS["compact"], *large, recipe, folder, choose_device("cpu", bf16=False))
    return folder


def test_images_are_read_in_the_size_that_the_network_was_trained_on(larger_run, tmp_path, capsys):
    path = picture(tmp_path / "a.png", "RGB", 90, 90)
    main(["predict", str(path), "--run", str(larger_run)])
    assert "it saw 64 x 64 pixels" in capsys.readouterr().out
    main(["explore", str(path), "--run", str(larger_run), "--out", str(tmp_path / "page.html")])
    assert "resized from 90 x 90 to 64 x 64" in (tmp_path / "page.html").read_text()


def test_a_network_is_not_evaluated_on_images_of_another_size(larger_run, few):
    told = fails("evaluate", larger_run, "--data", "shapes")
    assert "larger shapes, 64 x 64, not on shapes, 32 x 32" in told


def test_a_page_of_ours_may_be_written_again(run, tmp_path, capsys):
    path, out = picture(tmp_path / "a.png", "RGB"), tmp_path / "page.html"
    for _ in range(2):
        main(["explore", str(path), "--run", str(run), "--out", str(out)])
    out.write_text("mine now")
    assert "there already" in fails("explore", path, "--run", run, "--out", out)
    assert out.read_text() == "mine now"


def test_paths_in_the_home_folder_are_found(run, tmp_path, monkeypatch, capsys, few):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "a.png", "RGB")
    shutil.copytree(run, tmp_path / "run")
    main("explore ~/a.png --run ~/run --out ~/page.html".split())
    main([*TRAIN.split(), "~/runs/mine"])
    assert (tmp_path / "page.html").is_file() and (tmp_path / "runs/mine/record.json").is_file()
    assert not (tmp_path / "~").exists()


COMMAND = [sys.executable, "-m", "minimaxvit"]


@pytest.mark.skipif(os.name != "posix", reason="names are no bytes on this system")
def test_names_that_are_no_utf_8_and_terminals_that_are_not_either(run, tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.png"
    picture(tmp_path / "a.png", "RGB").rename(os.fsdecode(path))
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    out = tmp_path / "s\u00e9jour.html"
    ran = subprocess.run(
        [*COMMAND, "explore", path, "--run", run, "--out", out],
        capture_output=True,
        env=environment,
    )
    assert ran.returncode == 0, ran.stderr
    assert b"s\\xe9jour.html" in ran.stdout
    assert "caf\\udce9.png" in out.read_text(encoding="utf-8")
    ran = subprocess.run([*COMMAND, "predict", path + b"x"], capture_output=True, env=environment)
    assert ran.returncode == 1 and ran.stderr.count(b"\n") == 1 and b"no image" in ran.stderr


@pytest.mark.skipif(os.name != "posix", reason="pipes differ on this system")
def test_a_reader_that_has_seen_enough_is_no_error():
    ran = subprocess.run(
        f"{shlex.join([*COMMAND, 'summary', 'xlarge'])} | head -n 1",
        shell=True,
        capture_output=True,
    )
    assert ran.stdout.startswith(b"xlarge: ") and ran.stderr == b""


def test_debug_shows_where_it_went_wrong(tmp_path):
    absent = str(tmp_path / "absent.png")
    ran = subprocess.run([*COMMAND, "predict", absent], capture_output=True, text=True)
    assert ran.stderr == f"minimaxvit: there is no image {absent}\n"
    ran = subprocess.run([*COMMAND, "predict", absent, "--debug"], capture_output=True, text=True)
    assert ran.stderr.startswith("Traceback") and ran.returncode == 1
