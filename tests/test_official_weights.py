"""Official networks, from a local server with files laid out as the hub's and random weights."""

import builtins
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache

import huggingface_hub
import pytest
import timm
import torch
from explored import carried
from helpers import noise
from hub import COMMIT, serving
from PIL import Image
from safetensors.torch import save_file
from test_parity_timm import randomize
from timm.data import ImageNetInfo, resolve_data_config
from timm.data.transforms_factory import create_transform
from timm.models.maxxvit import MaxxVit, default_cfgs, model_cfgs

from minimaxvit import CONFIGS, load, pretrained, pretrained_record, save
from minimaxvit.datasets import read_image
from minimaxvit.official_weights import OFFICIAL, official
from minimaxvit.pixels import normalize, normalize_imagenet
from minimaxvit.seeing import photograph

DIMS = (32, 32, 64, 64)  # narrow ones, so that a test takes no long time


def repository(name):
    size, side, tag = OFFICIAL[name]
    return f"timm/maxvit_{size}_tf_{side}.{tag}"


def stated(name):
    """What the hub's config.json states, in the form in which timm writes it."""
    architecture, tag = repository(name).removeprefix("timm/").split(".")
    config = default_cfgs[architecture].cfgs[tag]
    return {
        "architecture": architecture,
        "pretrained_cfg": json.loads(json.dumps(config.to_dict())),
    }


@cache
def theirs(name):
    """timm's network of this name, narrow, with random weights."""
    size, side, tag = OFFICIAL[name]
    shape = {"embed_dim": DIMS, "depths": (1, 1, 1, 1), "stem_width": 16, "head_hidden_size": 64}
    config = replace(model_cfgs[f"maxvit_{size}_tf"], **shape)
    classes = 21843 if tag == "in21k" else 1000
    return randomize(MaxxVit(config, img_size=side, num_classes=classes)).float()


def publish(root, name, model=None):
    folder = root / repository(name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(stated(name)))
    save_file((model or theirs(name)).state_dict(), folder / "model.safetensors")
    return folder


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub of our own with an empty cache, and narrow networks: yields (root, requests)."""
    for size in ("tiny", "small", "base", "large", "xlarge"):
        narrow = replace(CONFIGS[size], dims=DIMS, depths=(1, 1, 1, 1), stem_dim=16)
        monkeypatch.setitem(CONFIGS, size, narrow)
    root = tmp_path / "hub"
    root.mkdir()
    with serving(root) as (address, requests):
        use_hub(monkeypatch, tmp_path, address)
        yield root, requests


def use_hub(monkeypatch, tmp_path, address):
    file = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", file)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def test_every_official_network_that_timm_publishes_has_a_name():
    published = {
        f"timm/{architecture}.{tag}"
        for architecture, config in default_cfgs.items()
        for tag in config.cfgs
        if "_tf_" in architecture
    }
    assert len(published) == 21 and {repository(name) for name in OFFICIAL} == published


@pytest.mark.parametrize("name", ["tiny", "small_384", "base_21k", "xlarge_512_21k"])
def test_it_answers_as_timm_s_with_its_classes_and_what_it_reads(name, hub):
    publish(hub[0], name)
    model, record = pretrained(name), pretrained_record(name)
    size, side, tag = OFFICIAL[name]
    expected = timm.data.resolve_data_config(pretrained_cfg=stated(name)["pretrained_cfg"])
    data = record["data"]
    assert (data["mean"], data["std"]) == (tuple(expected["mean"]), tuple(expected["std"]))
    assert data["image_size"] == [side, side] == 2 * [model.config.image_size]
    squashed = expected["crop_mode"] == "squash"
    assert data["crop"] == (None if squashed else expected["crop_pct"] or 1)
    info = ImageNetInfo("imagenet21k-goog" if tag == "in21k" else "imagenet-1k")
    names = [info.label_name_to_description(label, detailed=False) for label in info.label_names()]
    assert data["classes"] == names and len(names) == model.config.num_classes
    assert model.config.normalize is (normalize_imagenet if name == "tiny" else normalize)

    image = torch.randint(256, (1, 3, side, side), dtype=torch.uint8)
    read = model.config.normalize(image)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (data["mean"], data["std"]))
    torch.testing.assert_close(read, (image / 255 - mean) / std)
    with torch.no_grad():
        torch.testing.assert_close(model(read), theirs(name)(read), atol=1e-4, rtol=1e-4)
    assert not model.training and record["weights"] == repository(name)


def test_what_was_downloaded_is_kept_and_the_commit_recorded(hub):
    root, requests = hub
    publish(root, "tiny")
    assert pretrained_record("tiny")["revision"] == COMMIT
    assert not any("safetensors" in path for _, path in requests)  # a record takes no weights
    pretrained("tiny")
    got = [path.rpartition("/")[2] for command, path in requests if command == "GET"]
    assert sorted(got) == ["config.json", "model.safetensors"]
    pretrained("tiny", revision=COMMIT)
    assert got == [path.rpartition("/")[2] for command, path in requests if command == "GET"]


def test_in_the_cache_it_needs_no_hub(hub, monkeypatch, tmp_path):
    publish(hub[0], "tiny")
    once = pretrained("tiny")
    use_hub(monkeypatch, tmp_path, "http://127.0.0.1:9")
    again = pretrained("tiny").state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in once.state_dict().items())
    told = (
        "config.json of timm/maxvit_small_tf_224.in1k at 'main' is .* http://127.0.0.1:9 does not"
    )
    started = time.monotonic()
    with pytest.raises(OSError, match=told):
        pretrained("small")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "name, revision, told",
    [
        ("small", "main", "timm/maxvit_small_tf_224.in1k at 'main' is not in the cache and cannot"),
        ("tiny", "v9", "timm/maxvit_tiny_tf_224.in1k at 'v9' is not in the cache and cannot be do"),
    ],
)
def test_what_the_hub_does_not_have_is_named(name, revision, told, hub):
    publish(hub[0], "tiny")
    with pytest.raises(OSError, match=told) as refused:
        pretrained(name, revision=revision)
    assert "\n" not in str(refused.value)


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def of_another_network(folder):
    save_file({"a": torch.zeros(1)}, folder / "model.safetensors")


def without_configuration(folder):
    (folder / "config.json").write_text("{}")


def no_json(folder):
    (folder / "config.json").write_text("<html>")


def of_another_size(folder):
    config = stated("tiny")
    config["pretrained_cfg"]["input_size"] = [3, 256, 256]
    (folder / "config.json").write_text(json.dumps(config))


def with_other_classes(folder):
    config = stated("tiny")
    config["pretrained_cfg"]["num_classes"] = 7
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    "change, told",
    [
        (cut, "model.safetensors does not hold the weights of tiny"),
        (of_another_network, "does not hold the weights of tiny: these are not the weights of"),
        (without_configuration, "does not describe tiny: KeyError 'pretrained_cfg'"),
        (no_json, "config.json does not describe tiny: JSONDecodeError"),
        (of_another_size, r"does not describe tiny: ValueError images of \[256, 256\]"),
        (with_other_classes, "does not describe tiny: ValueError no names are known for 7 classes"),
    ],
)
def test_files_that_are_not_this_network_are_refused_by_name(change, told, hub):
    change(publish(hub[0], "tiny"))
    with pytest.raises(ValueError, match=told):
        pretrained("tiny")


def test_without_the_hub_s_package_it_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **options):
        if name.startswith("huggingface_hub"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="pip install huggingface_hub"):
        official("tiny")
    assert not pretrained("compact").training  # needs no hub


def test_it_is_saved_with_what_it_reads_and_gets_other_classes(hub, tmp_path):
    publish(hub[0], "tiny")
    state = torch.get_rng_state()
    model = pretrained("tiny", num_classes=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.config.normalize is normalize_imagenet and model.config.num_classes == 3
    save(model, tmp_path / "mine")
    again = load(tmp_path / "mine")
    assert again.config == model.config
    images = noise(2, 3, 224, 224).float()
    with torch.no_grad():
        assert torch.equal(again(images), model(images)) and model(images).shape == (2, 3)


@pytest.mark.parametrize("name", ["tiny", "tiny_384"])
def test_a_photograph_is_cropped_as_timm_crops_it(name, tmp_path):
    file = tmp_path / "wide.png"
    Image.fromarray(photograph()[:, 60:420]).save(file)  # (480, 360): not square
    transform = create_transform(
        **resolve_data_config(pretrained_cfg=stated(name)["pretrained_cfg"])
    )
    size, side, _ = OFFICIAL[name]
    crop = 0.95 if name == "tiny" else None
    ours, _ = read_image(file, side, side, crop)
    form = normalize_imagenet if name == "tiny" else normalize
    with Image.open(file) as image:
        off = (form(ours)[0] - transform(image)).abs()
    # timm resizes before it crops, to whole pixels, and by cubic interpolation.
    assert off.mean() < (0.15 if name == "tiny" else 0.02)
    wrong, _ = read_image(file, side, side)
    assert (form(wrong)[0] - transform(image)).abs().mean() > 3 * off.mean()


@pytest.mark.slow
def test_commands_name_one_of_a_thousand_classes_and_write_a_page_of_all_heads(tmp_path):
    model = randomize(timm.create_model("maxvit_tiny_tf_224")).float()
    publish(tmp_path / "hub", "tiny", model)
    Image.fromarray(photograph()).save(tmp_path / "photo.png")

    def run(command, *options):
        code = [sys.executable, "-m", "minimaxvit", command, "photo.png", "--network", "tiny"]
        ran = subprocess.run(
            [*code, *options], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.splitlines()

    with serving(tmp_path / "hub") as (address, _):
        env = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")}
        *top, note = run("predict")
        run("explore", "--out", "page.html")
    image, _ = read_image(tmp_path / "photo.png", 224, 224, 0.95)
    with torch.no_grad():
        expected = model(normalize_imagenet(image)).softmax(1)[0].topk(5)
    names = ImageNetInfo("imagenet-1k")
    for line, value, index in zip(top, *expected, strict=True):
        share, said = line.split(maxsplit=1)
        assert said == names.index_to_description(int(index))
        assert float(share.rstrip("%")) == pytest.approx(100 * float(value), abs=0.06)
    assert note.startswith("(by a network trained on ImageNet-1k; it saw 224 x 224 pixels")

    page = (tmp_path / "page.html").read_text()
    assert len(page) < 8_000_000 and "of 1,000" not in page  # all that it says is compressed
    (network,) = carried(page)["networks"]
    said, probability = network["predictions"][0][0]
    assert said == names.index_to_description(int(expected.indices[0]))
    assert probability == pytest.approx(float(expected.values[0]), abs=1e-4)
    assert len(network["attention"]) == 22
