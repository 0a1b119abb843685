"""timm makes our networks by name, with its options, and trains them in several processes."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import timm
import timm_training as training
import torch
from helpers import noise, randomize
from PIL import Image
from timm.data import create_transform, resolve_data_config
from timm.data.auto_augment import RandAugment
from timm.optim import create_optimizer_v2, optimizer_kwargs
from timm.scheduler import create_scheduler_v2, scheduler_kwargs
from torch import nn

from minimaxvit import CONFIGS, maxvit, timm_models
from minimaxvit.datasets import SHAPE_CLASSES, draw_shapes, normalize
from minimaxvit.pixels import IMAGENET_MEAN, IMAGENET_STD, normalize_imagenet

ROOT = Path(__file__).parents[1]
WIDE = ("small", "base", "large", "xlarge")  # here narrowed, as their millions change nothing


@pytest.fixture
def narrow(monkeypatch):
    for name in WIDE:
        dims = {"dims": (32, 32, 64, 64), "stem_dim": 32}
        monkeypatch.setitem(CONFIGS, name, replace(CONFIGS[name], **dims))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_name_gives_the_logits_of_our_network_with_the_same_weights(name, narrow):
    theirs, ours = timm.create_model(f"minimaxvit_{name}"), maxvit(name).double().eval()
    ours.load_state_dict(randomize(theirs).state_dict())
    images = noise(1, 3, ours.config.image_size, ours.config.image_size)
    with torch.no_grad():
        assert torch.equal(theirs(images), ours(images))
    config = theirs.default_cfg
    assert theirs.get_submodule(config["classifier"]) is theirs.get_classifier()
    assert theirs.get_classifier().out_features == theirs.num_classes == config["num_classes"]
    convolutions = (each for each in theirs.stem.modules() if isinstance(each, nn.Conv2d))
    first = config["first_conv"]  # T2T has none
    assert next(convolutions, None) is (theirs.get_submodule(first) if first else None)
    assert first or name == "t2t"


@pytest.mark.parametrize("name", CONFIGS)
def test_a_name_stands_for_its_configuration_and_says_what_it_reads(name):
    with torch.device("meta"):
        model = timm.create_model(f"minimaxvit_{name}")
    assert model.config == CONFIGS[name] and model.num_classes == CONFIGS[name].num_classes
    side = CONFIGS[name].image_size
    assert resolve_data_config(model=model) == {
        "input_size": (3, side, side),
        "interpolation": "bicubic",
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "crop_pct": 0.95 if side == 224 else 1.0,
        "crop_mode": "center",
    }


def test_timm_lists_our_networks_and_knows_of_no_weights():
    assert set(timm.list_models("minimaxvit_*")) == {f"minimaxvit_{name}" for name in CONFIGS}
    assert timm.list_pretrained("minimaxvit_*") == []
    assert all(hasattr(timm_models, name) for name in timm_models.__all__)


def test_options_reach_the_configuration_and_the_loader():
    options = {"num_classes": 7, "img_size": 64, "in_chans": 1, "drop_path_rate": 0.3}
    model = timm.create_model("minimaxvit_compact", drop_rate=0.0, **options)
    expected = maxvit("compact", num_classes=7, image_size=64, in_channels=1).config
    assert model.config == replace(expected, drop_path=0.3)
    data = resolve_data_config(model=model)
    assert (data["input_size"], data["mean"], data["std"]) == ((1, 64, 64), (0.5,), (0.5,))
    assert model(torch.zeros(2, 1, 64, 64)).shape == (2, 7)
    square = timm.create_model("minimaxvit_compact", img_size=(64, 64))
    assert square.config.image_size == 64 and CONFIGS["compact"].image_size == 32


def test_the_loader_is_told_mean_and_deviation_of_any_form(monkeypatch):
    other = replace(CONFIGS["compact"], normalize=normalize_imagenet)
    monkeypatch.setitem(CONFIGS, "compact", other)
    config = timm.create_model("minimaxvit_compact").pretrained_cfg
    assert config["mean"] == pytest.approx(IMAGENET_MEAN, abs=1e-6)
    assert config["std"] == pytest.approx(IMAGENET_STD, abs=1e-6)
    own = {"mean": (0.1, 0.2, 0.3)}
    config = timm.create_model("minimaxvit_compact", pretrained_cfg_overlay=own).pretrained_cfg
    assert config["mean"] == own["mean"]


TAKES = "leave it out; it takes num_classes, in_chans, img_size, drop_path_rate"


@pytest.mark.parametrize(
    "options, told",
    [
        (
            {"pretrained": True},
            "pretrained=True, but timm has no weights of minimaxvit_compact: leave it out; "
            "minimaxvit.pretrained loads those that there are",
        ),
        ({"drop_rate": 0.1}, "drop_rate=0.1, but minimaxvit_compact has no dropout: give 0"),
        ({"global_pool": "max"}, f"global_pool='max' is no option of minimaxvit_compact: {TAKES}"),
        (
            {"features_only": True},
            f"features_only=True is no option of minimaxvit_compact: {TAKES}",
        ),
        (
            {"img_size": (32, 64)},
            "img_size=(32, 64), but one window serves both sides: give one number",
        ),
        ({"img_size": 36}, "image_size must be a multiple of 8, got 36"),
        ({"num_classes": -1}, "num_classes must be a whole number of at least 1, got -1"),
        ({"drop_path_rate": 1.0}, "drop_path must be from 0 up to but not 1, got 1.0"),
    ],
)
def test_what_our_networks_have_not_is_named(options, told):
    with pytest.raises(ValueError) as caught:
        timm.create_model("minimaxvit_compact", **options)
    assert str(caught.value) == told


def test_gradient_checkpointing_can_only_be_off():
    model = timm.create_model("minimaxvit_compact")
    model.set_grad_checkpointing(False)
    with pytest.raises(ValueError, match="^our networks have no gradient checkpointing: .*$"):
        model.set_grad_checkpointing()


@pytest.mark.parametrize("name", ["compact", "vit"])
def test_the_last_layer_is_replaced_or_left_out(name):
    model = randomize(timm.create_model(f"minimaxvit_{name}"))
    last, images = model.get_classifier(), noise(2, 3, 32, 32)
    logits = model(images)
    model.reset_classifier(0)
    assert model.num_classes == 0
    torch.testing.assert_close(last(model(images)), logits)
    model.reset_classifier(5)
    assert model.num_classes == model.config.num_classes == 5
    assert model(images).shape == (2, 5)  # in float64, as before
    assert model.get_classifier().weight.std() < 0.03 and not model.get_classifier().bias.any()
    with pytest.raises(ValueError, match="^global_pool='max', but the head has no other: "):
        model.reset_classifier(5, "max")
    assert timm.create_model(f"minimaxvit_{name}", num_classes=0).num_classes == 0


@pytest.mark.parametrize("name", ["compact", "tiny", "hybrid", "resnet", "vit"])
def test_only_what_multiplies_decays(name):
    model = timm.create_model(f"minimaxvit_{name}")
    optimizer = create_optimizer_v2(model, opt="adamw", lr=1, weight_decay=0.05)
    decays = {p: g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    for parameter_name, parameter in model.named_parameters():
        multiplies = parameter_name.endswith(".weight") and parameter.ndim > 1
        assert decays.pop(parameter) == (0.05 if multiplies else 0), parameter_name
    assert not decays


def in_python(code):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_package_does_without_timm():
    code = "import sys, minimaxvit.__main__; assert 'timm' not in sys.modules"
    ran = in_python(code)
    assert ran.returncode == 0, ran.stderr
    ran = in_python("import sys; sys.modules['timm'] = None; import minimaxvit.timm_models")
    told = "minimaxvit.timm_models registers our networks with timm: pip install timm"
    assert ran.stderr.splitlines()[-1] == f"ImportError: {told}"
    assert ran.stderr.count("Traceback") == 1


def command_of_the_readme():
    """The options of train.py in the README: {"opt": "adamw", ...}, and how many processes."""
    (command,) = re.findall(r"^torchrun.*?[^\\]\n", (ROOT / "README.md").read_text(), re.M | re.S)
    launch, options = shlex.split(command.replace("\\\n", " ")), {}
    launch, arguments = launch[: launch.index("train.py")], launch[launch.index("train.py") + 1 :]
    for word in arguments:
        if word.startswith("--"):
            options[name := word[2:].replace("-", "_")] = True
        else:
            options[name] = float(word) if re.fullmatch(r"[\d.e-]+", word) else word
    return SimpleNamespace(**options), int(launch[launch.index("--nproc-per-node") + 1])


def test_the_command_of_the_readme_is_the_recipe_of_the_paper():
    args, processes = command_of_the_readme()
    assert args.device_modules == timm_models.__name__
    assert processes * args.batch_size * args.grad_accum_steps == 4096
    with torch.device("meta"):
        model = timm.create_model(args.model, drop_path_rate=args.drop_path)
    assert model.config == CONFIGS["tiny"]

    args.momentum, args.sched = 0.9, "cosine"  # defaults of train.py
    weight = nn.Linear(2, 2)
    optimizer = create_optimizer_v2(weight, **optimizer_kwargs(cfg=args))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0, 0.05}
    updates = 1_281_167 // 4096 + 1
    scheduler, epochs = create_scheduler_v2(
        optimizer, **scheduler_kwargs(args), updates_per_epoch=updates
    )
    assert epochs == 300
    lrs = {}
    for update in (0, 5_000, 10_000, 11_000, 50_000, 300 * updates - 1):
        scheduler.step_update(update)
        lrs[update] = optimizer.param_groups[0]["lr"]
    first, half, highest, *falling, last = lrs.values()
    assert first < 1e-4 and half == pytest.approx(1.5e-3, rel=0.01)
    assert highest == pytest.approx(3e-3, rel=0.01) and last == pytest.approx(1e-5, rel=0.01)
    assert highest > falling[0] > falling[1] > last

    transforms = create_transform(224, is_training=True, auto_augment=args.aa).transforms
    (augment,) = (each for each in transforms if isinstance(each, RandAugment))
    assert augment.num_layers == 2
    assert {(each.magnitude, each.magnitude_max) for each in augment.ops} == {(15, 15)}
    assert (args.mixup, args.smoothing, args.clip_grad) == (0.8, 0.1, 1)


@pytest.mark.slow
def test_two_processes_train_as_one_that_sees_the_batches_of_both(tmp_path):
    images, labels = draw_shapes(32, seed=0)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = tmp_path / "train" / f"{label} {SHAPE_CLASSES[label]}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(path)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = [training.__file__, "--data-dir", tmp_path, "--model", "minimaxvit_compact"]
    modules = ["--device-modules", "minimaxvit.timm_models"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launch, *map(str, script), *modules]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))

    assert not all(torch.equal(one["own"][name], other["own"][name]) for name in one["own"])
    for moment in ("start", "end"):
        assert all(torch.equal(one[moment][name], other[moment][name]) for name in one[moment])
    pairs = list(zip(one["batches"], other["batches"], strict=True))
    per_epoch = len(images) // (2 * training.BATCH)
    assert len(pairs) == per_epoch * training.EPOCHS
    bytes_ = normalize(torch.from_numpy(images)).double().flatten(1)
    for epoch in range(training.EPOCHS):  # each image once, by one of them, as our networks read it
        seen = [batch for pair in pairs[epoch * per_epoch :][:per_epoch] for batch in pair]
        apart = torch.cdist(torch.cat([batch for batch, _ in seen]).flatten(1), bytes_)
        assert apart.argmin(0).unique().numel() == len(images) and apart.amin(0).max() < 1e-5
        assert torch.equal(
            torch.cat([each for _, each in seen])[apart.argmin(0)], labels_of(labels)
        )
    again = [torch.cat([batch for batch, _ in pair]) for pair in pairs]
    assert not torch.equal(again[0], again[per_epoch])  # shuffled anew

    model = maxvit("compact").double().train()
    model.load_state_dict(one["start"])
    groups = {True: [], False: []}
    for name, parameter in model.named_parameters():
        groups[name.endswith(".weight") and parameter.ndim > 1].append(parameter)
    decays = [{"params": groups[True]}, {"params": groups[False], "weight_decay": 0}]
    optimizer = torch.optim.AdamW(decays, lr=training.LR, weight_decay=training.WEIGHT_DECAY)
    for step, pair in enumerate(pairs):
        optimizer.zero_grad()
        for rank, batch in enumerate(pair):  # one by one: each has batch statistics of its own
            loss = training.smoothed(model(batch[0]), batch[1])
            assert loss.item() == pytest.approx((one, other)[rank]["losses"][step], rel=1e-9)
            (loss / 2).backward()
        nn.utils.clip_grad_norm_(model.parameters(), training.CLIP)
        optimizer.step()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.data, one["end"][name], rtol=0, atol=1e-9, msg=name)
        assert not torch.equal(one["start"][name], one["end"][name]), name


def labels_of(labels):
    return torch.from_numpy(labels).long()
