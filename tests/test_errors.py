"""Every fault that we know of gets one clear line, and leaves everything as it was.

Each case says what must be told: what was given, and what to do. Those of the command line are run
as a person would type them.
"""

import json
import shutil
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from training_helpers import SHORT, SMALL, few_shapes

from minimaxvit import (
    BlockAttention,
    MaxViT,
    MaxViTConfig,
    load,
    load_timm,
    maxvit,
    pretrained,
    register,
    save,
)
from minimaxvit.__main__ import main
from minimaxvit.datasets import (
    LabeledImages,
    download_cifar10,
    draw_shapes,
    load_cifar10,
    load_data,
    normalize,
    read_image,
)
from minimaxvit.locked import locked
from minimaxvit.seeing import effective_field, record_attention, rollout, trace
from minimaxvit.seeing.explorer import explorer
from minimaxvit.training import Recipe, choose_device, fit, folder as run_folder
from minimaxvit.training.folder import CHECKPOINT, RECORD, WEIGHTS
from minimaxvit.training.muon import Muon

TRAINING, TEST = few_shapes()
CPU = choose_device("cpu", bf16=False)
ONE = replace(SHORT, steps=1)
ROW = 3073


@dataclass
class Case:
    """What goes wrong when `act(folder)` is called after `prepare(folder)`, and what is told."""

    name: str
    told: tuple
    act: object
    prepare: object = None
    error: type = ValueError


def contents(folder):
    """All files below a folder, with what is in them."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


# Configurations, and what a network is given


def config(**changed):
    return lambda folder: replace(SMALL, **changed)


def network(images):
    return lambda folder: MaxViT(SMALL)(images)


COUNTED = "must be a whole number of at least 1"
NETWORKS = [
    Case("a window of nothing", ("window", COUNTED, "got 0"), config(window=0)),
    Case("a window below zero", ("window", "got -4"), config(window=-4)),
    Case("half a token", ("window", "got 2.5"), config(window=2.5)),
    Case("no channels", ("dims", COUNTED, "got (0,)"), config(dims=(0,))),
    Case("channels that are no integer", ("dims", "got (32.0,)"), config(dims=(32.0,))),
    Case("a list of channels", ("dims", "a tuple of such", "got [32]"), config(dims=[32])),
    Case("a truth as a number", ("expansion", "got True"), config(expansion=True)),
    Case("no blocks", ("depths", COUNTED, "got (0,)"), config(depths=(0,))),
    Case("no stages", ("depths", "one entry per stage", "got ()"), config(depths=())),
    Case("depths as a number", ("depths", "one entry per stage", "got 3"), config(depths=3)),
    Case("no classes", ("num_classes", COUNTED, "got 0"), config(num_classes=0)),
    Case("fewer than no classes", ("num_classes", "got -1"), config(num_classes=-1)),
    Case("a stem of nothing", ("stem_dim", "got 0"), config(stem_dim=0)),
    Case("a stride of nothing", ("strides", "got (0,)"), config(strides=(0,))),
    Case("a stem that stands still", ("stem_stride", "got 0"), config(stem_stride=0)),
    Case("no expansion", ("expansion", "got 0"), config(expansion=0)),
    Case("images of no size", ("image_size", "got 0"), config(image_size=0)),
    Case("a path that is always dropped", ("drop_path", "not 1, got 1.0"), config(drop_path=1.0)),
    Case("a path of less than none", ("drop_path", "got -0.1"), config(drop_path=-0.1)),
    Case("a path of no number", ("drop_path", "got nan"), config(drop_path=float("nan"))),
    Case("channels for another number of stages", ("dims", "per stage"), config(dims=(32, 64))),
    Case(
        "heads that do not divide", ("48 channels", "32"), lambda _: MaxViT(config(dims=(48,))(_))
    ),
    Case("an unknown name", ("'huge'", "choose one of tiny"), lambda _: maxvit("huge")),
    Case("a size between", ("multiple of 32", "got 100"), lambda _: maxvit("tiny", image_size=100)),
    Case("a size in words", ("got 'big'",), lambda _: maxvit("tiny", image_size="big")),
    Case("one image alone", ("(b, 3, h, w)", "(3, 32, 32)"), network(torch.zeros(3, 32, 32))),
    Case("gray images", ("(b, 3, h, w)", "(2, 1, 32, 32)"), network(torch.zeros(2, 1, 32, 32))),
    Case("bytes", ("uint8", "normalize"), network(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))),
    Case("double precision", ("float64", "float32"), network(torch.zeros(2, 3, 32, 32).double())),
    Case("an array", ("tensor", "ndarray"), network(np.zeros((2, 3, 32, 32)))),
    Case("images that do not fit", ("33 x 32", "nearest"), network(torch.zeros(1, 3, 33, 32))),
    Case("images of no pixels", ("0 x 32", "nearest"), network(torch.zeros(1, 3, 0, 32))),
]

# Images


def labeled(images=None, labels=None):
    images = TRAINING.images if images is None else images
    labels = TRAINING.labels if labels is None else labels
    return lambda folder: LabeledImages(images, labels, TRAINING.classes, "made up")


def picture(name, mode="RGB", size=(40, 40), **options):
    def write(folder):
        pixels = np.random.default_rng(0).integers(256, size=(*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(folder / name, **options)

    return write


def cut(name):
    def write(folder):
        picture(name)(folder)
        (folder / name).write_bytes((folder / name).read_bytes()[:200])

    return write


def text(name, words="no picture"):
    return lambda folder: (folder / name).write_text(words)


def read(name):
    return lambda folder: read_image(folder / name, 32, 32)


BYTES = ("uint8", "(255 * x).round().byte()")
IMAGES = [
    Case("images in 0..1", (*BYTES, "float32"), labeled(TRAINING.images / 255)),
    Case(
        "channels last", (*BYTES, "(112, 32, 32, 3)"), labeled(TRAINING.images.permute(0, 2, 3, 1))
    ),
    Case("too few labels", ("112 images", "(5,)"), labeled(labels=TRAINING.labels[:5])),
    Case("labels of another type", ("torch.long", "int32"), labeled(labels=TRAINING.labels.int())),
    Case("a label too high", ("0 to 9", "10"), labeled(labels=TRAINING.labels + 1)),
    Case("a label below zero", ("0 to 9", "-1"), labeled(labels=TRAINING.labels - 1)),
    Case("normalized twice", ("uint8", "float32"), lambda _: normalize(torch.zeros(1, 3, 4, 4))),
    Case("no image", ("there is no image", "a.png"), read("a.png"), error=FileNotFoundError),
    Case("a folder for an image", ("cannot be read",), lambda folder: read_image(folder, 8, 8)),
    Case("an empty image", ("a.png", "PNG or JPEG"), read("a.png"), text("a.png", "")),
    Case("a PNG cut short", ("a.png", "PNG or JPEG"), read("a.png"), cut("a.png")),
    Case("a JPEG cut short", ("a.jpg", "PNG or JPEG"), read("a.jpg"), cut("a.jpg")),
    Case("words for an image", ("a.jpg", "PNG or JPEG"), read("a.jpg"), text("a.jpg")),
    Case(
        "values of no known range", ("known range", "mode F"), read("a.tif"), picture("a.tif", "F")
    ),
    Case("integers of no known range", ("mode I",), read("a.tif"), picture("a.tif", "I")),
    Case("no shapes", ("count", "got 0"), lambda _: draw_shapes(0, 0)),
    Case("shapes of no seed", ("seed", "got -1"), lambda _: draw_shapes(1, -1)),
    Case("unknown data", ("'mnist'", "cifar10, shapes or any"), lambda _: load_data("mnist")),
]

# CIFAR-10


def batches(folder, size=10_000 * ROW):
    for name in [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]:
        with open(folder / name, "wb") as file:
            file.truncate(size)


def wrong_label(folder):
    batches(folder)
    with open(folder / "data_batch_2.bin", "rb+") as file:
        file.write(b"\x0b")


def without_a_file(folder):
    batches(folder)
    (folder / "data_batch_3.bin").unlink()


def for_python(folder):
    (folder / "cifar-10-batches-py").mkdir()
    (folder / "cifar-10-batches-py" / "test_batch").touch()


def archive(name, inside, mode):
    def write(folder):
        with tarfile.open(folder / name, mode) as tar:
            tar.add(__file__, f"{inside}/test_batch.bin")

    return write


def fetch(name):
    return lambda folder: download_cifar10(folder / name, folder)


def fetch_beside_another(folder):
    with locked(folder):
        download_cifar10("nowhere", folder)


GET = "minimaxvit data cifar10"
DATA = [
    Case("no data", (GET, "MINIMAXVIT_DATA"), load_cifar10, error=FileNotFoundError),
    Case("the data for Python", ("for Python", GET), load_cifar10, for_python, FileNotFoundError),
    Case(
        "a file cut short",
        ("has 7 bytes", "download CIFAR-10 again"),
        load_cifar10,
        lambda folder: batches(folder, 7),
    ),
    Case("a label beyond nine", ("data_batch_2.bin", "label 11"), load_cifar10, wrong_label),
    Case(
        "a file missing",
        ("data_batch_3.bin is missing",),
        load_cifar10,
        without_a_file,
        FileNotFoundError,
    ),
    Case("no archive", ("there is no archive",), fetch("no.tar.gz"), error=FileNotFoundError),
    Case("words for an archive", ("a.gz", "no archive at all"), fetch("a.gz"), text("a.gz")),
    Case(
        "another archive",
        ("a.tar.gz is not the archive", "md5"),
        fetch("a.tar.gz"),
        archive("a.tar.gz", "other", "w:gz"),
    ),
    Case(
        "the archive for Python",
        ("version for Python", "binary version"),
        fetch("a.tar.gz"),
        archive("a.tar.gz", "cifar-10-batches-py", "w:gz"),
    ),
    Case(
        "an archive that is unzipped",
        ("unzipped already", "unpack it with tar"),
        fetch("a.tar"),
        archive("a.tar", "cifar-10-batches-bin", "w"),
    ),
    Case("two downloads at once", ("another process",), fetch_beside_another),
]

# Recipes and runs


def recipe(**changed):
    return lambda folder: Recipe(**changed)


def train(folder, config=SMALL, training=TRAINING, test=TEST, recipe=ONE):
    return fit(config, training, test, recipe, folder / "run", CPU)


def trained(**changed):
    return lambda folder: train(folder, **changed)


def train_beside_another(folder):
    with locked(folder / "run"):
        train(folder)


def damaged(name, content):
    def write(folder):
        (folder / "run").mkdir()
        (folder / "run" / name).write_bytes(content)

    return write


def foreign_checkpoint(folder):
    (folder / "run").mkdir()
    torch.save({"model": {}, "settings": 3}, folder / "run" / CHECKPOINT)


def train_without_room(folder):
    with pytest.MonkeyPatch.context() as patch:
        usage = shutil.disk_usage(folder)._replace(free=1000)
        patch.setattr(run_folder.shutil, "disk_usage", lambda _: usage)
        train(folder)


def train_on_a_disk_that_fills(folder):
    def full(state, path):
        Path(path).write_bytes(b"half of it")
        raise RuntimeError("[enforce fail at inline_container.cc:626] . unexpected pos 64 vs 0")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "save", full)
        train(folder)


def compile_without_compiler(folder):
    def refuse(_):
        raise RuntimeError("Failed to find C++ compiler.\nPlease set CXX.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", refuse)
        choose_device("cpu", compile=True)


SMALLER = LabeledImages(TEST.images[:, :, :16, :16], TEST.labels, TEST.classes, "smaller")
FEWER = replace(SMALL, num_classes=3)
ANEW = ("remove it to begin anew", "another folder")
RUNS = [
    Case("no images in a batch", ("batch_size", "got 0"), recipe(batch_size=0)),
    Case("half a step", ("steps", "whole number", "1.5"), recipe(steps=1.5)),
    Case("no epochs", ("epochs", "got 0"), recipe(epochs=0)),
    Case("a rate of no number", ("muon_lr", "got nan"), recipe(muon_lr=float("nan"))),
    Case("a rate without end", ("adamw_lr", "got inf"), recipe(adamw_lr=float("inf"))),
    Case("a rate in words", ("muon_lr", "a number", "'fast'"), recipe(muon_lr="fast")),
    Case("a seed too large", ("seed", str(2**63)), recipe(seed=2**63)),
    Case("a seed below zero", ("seed", "got -1"), recipe(seed=-1)),
    Case("more than all", ("ema", "at most 1", "got 2"), recipe(ema=2)),
    Case("a number for a switch", ("muon", "True or False", "got 1"), recipe(muon=1)),
    Case("a switch for a number", ("cutout", "whole number", "True"), recipe(cutout=True)),
    Case(
        "a hole beyond the image",
        ("cutout 40", "32 pixels"),
        trained(recipe=replace(ONE, cutout=40)),
    ),
    Case("a shift too far", ("translate 32",), trained(recipe=replace(ONE, translate=32))),
    Case("all held out", ("0 images", "batch of 16"), trained(recipe=replace(ONE, val_size=112))),
    Case("other classes", ("3 classes", "10"), trained(config=FEWER)),
    Case("test images of another size", ("16 x 16", "32 x 32"), trained(test=SMALLER)),
    Case("no test images", ("0 test images",), trained(test=TEST[:0])),
    Case(
        "a file for a folder",
        ("run cannot be made or written", "another folder"),
        train,
        lambda folder: (folder / "run").touch(),
        OSError,
    ),
    Case("a folder in use", ("another process is at work", "another folder"), train_beside_another),
    Case("no room", ("room for 1,000 bytes", "another folder"), train_without_room, error=OSError),
    Case(
        "a disk that fills",
        (CHECKPOINT, "cannot be written"),
        train_on_a_disk_that_fills,
        error=OSError,
    ),
    Case("an empty record", (RECORD, "nothing in it", *ANEW), train, damaged(RECORD, b"")),
    Case("a record cut short", (RECORD, *ANEW), train, damaged(RECORD, b'{"config": {')),
    Case("a list for a record", (RECORD, *ANEW), train, damaged(RECORD, b"[1, 2]")),
    Case("a foreign record", (RECORD, "config", *ANEW), train, damaged(RECORD, b'{"loss": 3}')),
    Case(
        "an empty checkpoint", (CHECKPOINT, "nothing in it", *ANEW), train, damaged(CHECKPOINT, b"")
    ),
    Case(
        "a checkpoint cut short",
        (CHECKPOINT, *ANEW),
        train,
        damaged(CHECKPOINT, b"PK\x03\x04 half"),
    ),
    Case("a foreign checkpoint", (CHECKPOINT, *ANEW), train, foreign_checkpoint),
    Case("weights of no run", (WEIGHTS, "no record", *ANEW), train, damaged(WEIGHTS, b"theirs")),
    Case("an unknown device", ("'quantum'",), lambda _: choose_device("quantum")),
    Case("no compiler", ("compile", "do without", "C++"), compile_without_compiler),
]

# Weights


def saved(folder, change=lambda tensors, header: None):
    torch.manual_seed(0)
    path = folder / "a.safetensors"
    save(MaxViT(SMALL), path)
    tensors = safetensors.torch.load_file(path)
    with safetensors.safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["minimaxvit"])
    change(tensors, header)
    path.write_bytes(safetensors.torch.save(tensors, {"minimaxvit": json.dumps(header)}))


def changed(change):
    return lambda folder: saved(folder, change)


def cut_weights(folder):
    saved(folder)
    path = folder / "a.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def without_header(folder):
    safetensors.torch.save_file({"x": torch.zeros(2)}, folder / "a.safetensors")


def loaded(folder):
    return load(folder / "a.safetensors")


def edited():
    model = MaxViT(SMALL)
    model.head.classify = torch.nn.Linear(32, 3)
    return model


class Unregistered(BlockAttention):
    """A part that nobody registered."""


NOT_OURS = "not a network that minimaxvit.save wrote"
TINY = {"stem.conv1.weight": torch.zeros(1)}
WEIGHT_FILES = [
    Case("no weights", ("there is no weights file",), loaded, error=FileNotFoundError),
    Case("a folder of weights", ("no weights file",), load, error=FileNotFoundError),
    Case("empty weights", (NOT_OURS,), loaded, text("a.safetensors", "")),
    Case("words for weights", (NOT_OURS,), loaded, text("a.safetensors", 30 * "words ")),
    Case("weights cut short", (NOT_OURS,), loaded, cut_weights),
    Case("weights of others", (NOT_OURS, "does not say which network"), loaded, without_header),
    Case(
        "a network of no window",
        (NOT_OURS, "window"),
        loaded,
        changed(lambda tensors, header: header.update(window=0)),
    ),
    Case(
        "a part that is not registered",
        ("'Warp'", "import the file that defines it"),
        loaded,
        changed(lambda tensors, header: header.update(stem="Warp")),
    ),
    Case(
        "a setting that does not exist",
        (NOT_OURS, "colour"),
        loaded,
        changed(lambda tensors, header: header.update(colour=3)),
    ),
    Case(
        "a tensor missing",
        (NOT_OURS, "head.classify.bias is missing"),
        loaded,
        changed(lambda tensors, header: tensors.pop("head.classify.bias")),
    ),
    Case(
        "a tensor of another shape",
        ("head.classify.bias is (3,) instead of (10,)",),
        loaded,
        changed(lambda tensors, header: tensors.update({"head.classify.bias": torch.zeros(3)})),
    ),
    Case(
        "a network so large that it fits nowhere",
        (NOT_OURS, "is missing"),
        loaded,
        changed(lambda tensors, header: header.update(dims=[2**20], num_classes=2**20)),
    ),
    Case(
        "a network that was edited",
        ("head.classify.weight is (3, 32) instead of (10, 32)",),
        lambda folder: save(edited(), folder / "a.safetensors"),
    ),
    Case(
        "no network of ours",
        ("MaxViT", "Linear"),
        lambda folder: save(torch.nn.Linear(2, 2), folder / "a.safetensors"),
    ),
    Case(
        "a folder to save to",
        ("is a folder", "name of a file"),
        lambda folder: save(MaxViT(SMALL), folder),
        error=IsADirectoryError,
    ),
    Case(
        "a part that nobody registered",
        ("Unregistered", "minimaxvit.register"),
        lambda folder: save(
            MaxViT(replace(SMALL, parts=((Unregistered,),))), folder / "a.safetensors"
        ),
    ),
    Case("a name that is taken", ("'Head'",), lambda _: register(Head=Unregistered)),
    Case("nothing of that name", ("'huge'", "compact"), lambda _: pretrained("huge")),
    Case("no classes to tell apart", ("num_classes", "0"), lambda _: pretrained("compact", 0)),
    Case("no weights of timm", ("state_dict", "list"), lambda _: load_timm(maxvit("compact"), [])),
    Case(
        "a network that timm has not",
        ("timm", "stem.positions"),
        lambda _: load_timm(maxvit("vit"), TINY),
    ),
    Case("dense convolutions in timm", ("timm",), lambda _: load_timm(maxvit("hybrid"), TINY)),
    Case("other weights of timm", ("missing", "head.fc"), lambda _: load_timm(MaxViT(SMALL), TINY)),
    Case(
        "a vector for Muon",
        ("(5,)", "AdamW"),
        lambda _: Muon([torch.nn.Parameter(torch.zeros(5))], 0.1),
    ),
]

# Seeing

MODEL = MaxViT(replace(SMALL, num_classes=10))
CONVOLUTIONS = MaxViT(replace(SMALL, parts=((MaxViTConfig.parts[0][0],),)))
LAYER = "1.1 BlockAttention"
PICTURES = TRAINING.images[:2]
CLASSES = list(TRAINING.classes)
LOOKS = [
    Case(
        "an unknown layer", ("'9.9'", "did you mean"), lambda _: trace(MODEL, 32, 32, "9.9", (0, 0))
    ),
    Case(
        "a token outside",
        ("(9, 0)", "outside", "8 x 8"),
        lambda _: trace(MODEL, 32, 32, LAYER, (9, 0)),
    ),
    Case(
        "a size to trace that does not fit",
        ("20 x 32",),
        lambda _: trace(MODEL, 20, 32, LAYER, (0, 0)),
    ),
    Case("a rollout of nothing", ("'9.9'",), lambda _: rollout(MODEL, PICTURES, "9.9")),
    Case("a rollout to nowhere", ("outside",), lambda _: rollout(MODEL, PICTURES, LAYER, (99, 0))),
    Case(
        "a field of no layer", ("'9.9'",), lambda _: effective_field(MODEL, PICTURES, "9.9", (0, 0))
    ),
    Case(
        "a field of images already normalized",
        ("uint8", "float32"),
        lambda _: effective_field(MODEL, normalize(PICTURES), LAYER, (0, 0)),
    ),
    Case(
        "no attention to record",
        ("no attention to record",),
        lambda _: record_attention(CONVOLUTIONS).__enter__(),
    ),
    Case(
        "too few names",
        ("2 images", "got 1"),
        lambda _: explorer({"a": MODEL}, PICTURES, ["x"], CLASSES),
    ),
    Case(
        "too few classes",
        ("10 classes", "1 are named"),
        lambda _: explorer({"a": MODEL}, PICTURES, ["x", "y"], ["cat"]),
    ),
    Case(
        "networks that cannot be compared",
        ("'b'", "'a'", "separately"),
        lambda _: explorer({"a": MODEL, "b": CONVOLUTIONS}, PICTURES, ["x", "y"], CLASSES),
    ),
]

CASES = NETWORKS + IMAGES + DATA + RUNS + WEIGHT_FILES + LOOKS


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_gets_one_clear_message_and_leaves_all_as_it_was(case, tmp_path, monkeypatch):
    monkeypatch.delenv("MINIMAXVIT_DATA", raising=False)
    if case.prepare:
        case.prepare(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(case.error) as caught:
        case.act(tmp_path)
    message = str(caught.value)
    assert [part for part in case.told if part not in message] == [], message
    assert "\n" not in message and 20 < len(message) < 500
    assert contents(tmp_path) == before


# The command line


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run on small images, of one step."""
    folder = tmp_path_factory.mktemp("finished")
    train(folder)
    return folder / "run"


def copied(change):
    """Copy the finished run to `mine`, and change it."""

    def prepare(folder, run):
        shutil.copytree(run, folder / "mine")
        change(folder / "mine")

    return prepare


def emptied(name):
    return copied(lambda mine: (mine / name).write_bytes(b""))


def gone(name):
    return copied(lambda mine: (mine / name).unlink())


def photograph(name):
    return lambda folder, run: picture(name)(folder)


def made(write):
    return lambda folder, run: write(folder)


SEE = "--help"
TRAIN = "train --data shapes --steps 1 --out {folder}/run"
COMMANDS = [
    ("nothing to do", "", ("COMMAND", SEE), None),
    ("an unknown command", "fly", ("'fly'", "train", SEE), None),
    ("an unknown option", "summary compact --fast", ("--fast", SEE), None),
    ("an option without its value", "train --steps", ("--steps", SEE), None),
    ("words for a number", "train --steps many", ("'many'", SEE), None),
    ("an unknown network", "summary huge", ("'huge'", "tiny", SEE), None),
    ("unknown data", "train --data mnist", ("'mnist'", "shapes", SEE), None),
    ("other data to fetch", "data mnist", ("'mnist'", "cifar10", SEE), None),
    ("one side of a size", "summary tiny --size 224", ("--size", "2", SEE), None),
    ("a size that does not fit", "summary tiny --size 225 224", ("225 x 224", "nearest"), None),
    ("a size below zero", "summary tiny --size -1 224", ("-1 x 224", "nearest"), None),
    (
        "no data in a folder",
        "train --data cifar10 --data-folder {folder}",
        ("no CIFAR-10", GET),
        None,
    ),
    (
        "a network for large images",
        "train --data shapes --network tiny",
        ("224 x 224", "compact"),
        None,
    ),
    ("a device that is not there", TRAIN + " --device cuda:99", ("'cuda:99'",), None),
    ("a seed too large", TRAIN + f" --seed {2**64}", ("seed", str(2**64)), None),
    ("a fraction beyond 1", TRAIN + " --warmup 2", ("warmup", "at most 1"), None),
    ("a batch beyond the images", TRAIN + " --batch-size 20001", ("19000 images", "20001"), None),
    ("a file for a folder", TRAIN, ("run cannot be made",), made(text("run"))),
    ("an empty checkpoint", TRAIN, (CHECKPOINT, *ANEW), made(damaged(CHECKPOINT, b""))),
    ("no such run", "evaluate {folder}/no", ("no finished run", "minimaxvit train"), None),
    ("a run whose record is empty", "evaluate {folder}/mine", (RECORD, *ANEW), emptied(RECORD)),
    ("a run whose weights are empty", "evaluate {folder}/mine", (NOT_OURS,), emptied(WEIGHTS)),
    ("a run whose weights are gone", "evaluate {folder}/mine", ("no weights file",), gone(WEIGHTS)),
    ("a run without a record", "evaluate {folder}/mine", ("no finished run",), gone(RECORD)),
    ("data that are not there", "evaluate compact --data-folder {folder}", ("no CIFAR-10",), None),
    ("other data than trained on", "evaluate compact --data shapes", ("CIFAR-10", "shapes"), None),
    ("no image", "predict {folder}/a.png", ("there is no image",), None),
    ("a folder for an image", "predict {folder}", ("cannot be read",), None),
    ("words for an image", "predict {folder}/a.png", ("a.png", "PNG or JPEG"), made(text("a.png"))),
    (
        "an unknown run",
        "predict {folder}/a.png --run no",
        ("no finished run",),
        photograph("a.png"),
    ),
    (
        "a photograph in the place of the page",
        "explore {folder}/a.png --out {folder}/a.png",
        ("a.png", "there already", "--out"),
        photograph("a.png"),
    ),
    (
        "somebody's page in the place of ours",
        "explore {folder}/a.png --out {folder}/mine.html",
        ("mine.html", "there already", "--out"),
        made(text("mine.html", "<title>minimaxvit, as I see it</title>")),
    ),
    ("a folder for a page", "explore {folder}/a.png --out {folder}", ("is a folder",), None),
    ("no image to explore", "explore {folder}/a.png --out {folder}/b", ("no image",), None),
    ("no archive", "data cifar10 {folder}/no.tar.gz --to {folder}", ("no archive",), None),
    (
        "words for an archive",
        "data cifar10 {folder}/a --to {folder}",
        ("no archive at all",),
        made(text("a")),
    ),
]


def told(capsys, *arguments):
    """The one line that a command tells of what went wrong, and its exit status."""
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    code, printed = stopped.value.code, capsys.readouterr().err
    line = code if isinstance(code, str) else printed.rstrip("\n")
    assert line.startswith("minimaxvit: ") and "\n" not in line
    return line


@pytest.mark.parametrize(
    "command, expected, prepare",
    [case[1:] for case in COMMANDS],
    ids=[case[0] for case in COMMANDS],
)
def test_a_command_that_cannot_work_says_so_in_one_line(
    command, expected, prepare, run, tmp_path, monkeypatch, capsys
):
    monkeypatch.delenv("MINIMAXVIT_DATA", raising=False)
    if prepare:
        prepare(tmp_path, run)
    before = contents(tmp_path)
    line = told(capsys, *command.format(folder=tmp_path).split())
    assert [part for part in expected if part not in line] == [], line
    assert contents(tmp_path) == before


def test_there_are_as_many_cases_as_were_promised():
    assert len(CASES) + len(COMMANDS) >= 80
    assert len({case.told for case in CASES} | {case[2] for case in COMMANDS}) >= 80
