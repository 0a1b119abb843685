"""A saved network comes back bit for bit, a write that fails harms nothing, timm's weights fit."""

import json
import os
from dataclasses import fields, replace
from functools import cache
from itertools import permutations
from pathlib import Path

import pytest
import safetensors.torch
import torch
from helpers import noise, randomize
from timm.models.maxxvit import MaxxVit, model_cfgs

from minimaxvit import (
    CONFIGS,
    MAXVIT_PARTS,
    BlockAttention,
    GridAttention,
    MaxViT,
    MaxViTConfig,
    MBConv,
    load,
    load_timm,
    maxvit,
    pretrained,
    pretrained_record,
    save,
    to_timm,
    weights,
)
from minimaxvit.atomic_write import atomic_write
from minimaxvit.datasets import load_shapes
from minimaxvit.datasets.cifar10 import load_cifar10
from minimaxvit.pretrained_networks import BUNDLED, bundled
from minimaxvit.training.evaluation import evaluate
from minimaxvit.weights import configuration, describe

# Every field differs from its default, and the parts come in unusual orders.
UNUSUAL = MaxViTConfig(
    depths=(1, 2),
    dims=(32, 64),
    stem_dim=32,
    window=2,
    parts=((GridAttention, MBConv), (BlockAttention, GridAttention)),
    expansion=2,
    drop_path=0.1,
    num_classes=3,
)
TIMM = MaxViTConfig(
    dims=(32, 32, 64, 64), depths=(1, 1, 1, 1), stem_dim=16, window=2, num_classes=5
)


def network(config=UNUSUAL, seed=0):
    torch.manual_seed(seed)
    model = randomize(MaxViT(config), seed).float().train()
    model.stem.norm.num_batches_tracked.fill_(7)
    return model


def same(one, other):
    """Whether two state dicts hold the same names, types and bits."""
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one
    )


def snapshot(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@cache
def weights_of_timm():
    shape = {"embed_dim": TIMM.dims, "depths": TIMM.depths, "stem_width": TIMM.stem_dim}
    config = replace(model_cfgs["maxvit_tiny_tf"], **shape, head_hidden_size=TIMM.dims[-1])
    theirs = MaxxVit(config, img_size=64, num_classes=TIMM.num_classes)
    generator = torch.Generator().manual_seed(0)
    for name, tensor in theirs.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif tensor.is_floating_point():
            tensor.normal_(std=0.2, generator=generator)
    return theirs.state_dict()


def test_every_weight_and_statistic_comes_back_to_the_bit(tmp_path):
    model = network()
    save(model, tmp_path / "a" / "model.safetensors")
    loaded = load(str(tmp_path / "a" / "model.safetensors"))
    assert loaded.config == UNUSUAL
    assert same(loaded.state_dict(), model.state_dict())
    assert loaded.stem.norm.num_batches_tracked == 7
    assert os.listdir(tmp_path / "a") == ["model.safetensors"]


def test_a_loaded_network_evaluates_as_the_saved_one(tmp_path):
    model = network()
    save(model, tmp_path / "model")
    assert model.training  # saving changes nothing
    loaded, images = load(tmp_path / "model"), noise(2, 3, 16, 16).float()
    assert not any(part.training for part in loaded.modules())
    assert torch.equal(loaded(images), model.eval()(images))
    kernel = loaded.stem.conv2.weight
    assert kernel.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("config", [UNUSUAL, *CONFIGS.values()], ids=["unusual", *CONFIGS])
def test_description_is_plain_whole_and_can_be_undone(config):
    description = describe(config)
    assert set(description) == {field.name for field in fields(MaxViTConfig)}
    assert configuration(description) == config
    assert configuration(json.loads(json.dumps(description))) == config


def test_description_is_the_same_once_it_went_through_json():
    assert json.loads(json.dumps(describe(UNUSUAL))) == describe(UNUSUAL)


def somebody_elses(path):
    safetensors.torch.save_file({"weight": torch.ones(2)}, path)


def somebody_elses_with_notes(path):
    safetensors.torch.save_file({"weight": torch.ones(2)}, path, {"format": "pt"})


def cut_short(path):
    save(network(), path)
    path.write_bytes(path.read_bytes()[:-10])


def a_note(path):
    path.write_text("no weights")


def empty(path):
    path.touch()


def header_of_nothing(path):
    safetensors.torch.save_file({"weight": torch.ones(2)}, path, {"minimaxvit": "no JSON"})


def header_of_the_future(path):
    header = {"minimaxvit": json.dumps(describe(UNUSUAL) | {"depth": 5})}
    safetensors.torch.save_file({"weight": torch.ones(2)}, path, header)


def header_of_another_network(path):
    header = {"minimaxvit": json.dumps(describe(CONFIGS["compact"]))}
    safetensors.torch.save_file({"weight": torch.ones(2)}, path, header)


@pytest.mark.parametrize(
    "make",
    [
        somebody_elses,
        somebody_elses_with_notes,
        cut_short,
        a_note,
        empty,
        header_of_nothing,
        header_of_the_future,
        header_of_another_network,
    ],
)
def test_a_file_that_holds_no_network_of_ours_is_refused(make, tmp_path):
    make(tmp_path / "file")
    with pytest.raises(ValueError, match="file is not a network that minimaxvit.save wrote"):
        load(tmp_path / "file")


def test_a_file_that_is_not_there_is_named(tmp_path):
    for path in (tmp_path / "absent", tmp_path):  # a folder is no file either
        with pytest.raises(FileNotFoundError, match=f"no weights file {path}"):
            load(path)


def write_half_and_raise(path, whole):
    with open(path, "wb") as file:
        file.write(whole[: len(whole) // 2])
    raise OSError("no space left")


def raise_at_once(*_):
    raise OSError("no space left")


@pytest.mark.parametrize(
    "owner, name, failing",
    [
        (Path, "write_bytes", write_half_and_raise),
        (os, "fsync", raise_at_once),
        (os, "replace", raise_at_once),
    ],
)
def test_a_write_that_fails_keeps_the_old_file_and_nothing_else(
    owner, name, failing, tmp_path, monkeypatch
):
    path = tmp_path / "model"
    save(network(), path)
    before = path.read_bytes()
    monkeypatch.setattr(owner, name, failing)
    with pytest.raises(OSError, match="no space left"):
        save(network(seed=1), path)
    assert os.listdir(tmp_path) == ["model"] and path.read_bytes() == before
    monkeypatch.undo()
    save(network(seed=1), path)
    assert same(load(path).state_dict(), network(seed=1).state_dict())


def test_a_saved_network_may_be_read_by_whoever_may_read_other_files(tmp_path):
    (tmp_path / "other").write_text("")
    save(network(), tmp_path / "model")
    assert (tmp_path / "model").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_file_is_on_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def watch(*args, name=name, real=real):
            calls.append((name, (tmp_path / "file").exists()))
            return real(*args)

        monkeypatch.setattr(os, name, watch)
    atomic_write(tmp_path / "file", lambda partial: partial.write_text("all"))
    assert calls == [("fsync", False), ("replace", False)]
    assert (tmp_path / "file").read_text() == "all"


def without(weights):
    return {name: tensor for name, tensor in weights.items() if name != "head.fc.bias"}


def with_another(weights):
    return weights | {"head.another.weight": torch.ones(3)}


def with_fewer_classes(weights):
    return weights | {"head.fc.weight": weights["head.fc.weight"][:4]}


def with_another_window(weights):
    name = "stages.0.blocks.0.attn_grid.attn.rel_pos.relative_position_bias_table"
    return weights | {name: weights[name][:, :2, :2]}


@pytest.mark.parametrize(
    "change, told",
    [
        (without, "1 tensors are missing .head.fc.bias"),
        (with_another, "1 have no place in it .head.another.weight"),
        (with_fewer_classes, r"head.fc.weight has shape \(4, 64\).* \(5, 64\)"),
        (with_another_window, r"attn_grid.*table has shape \(1, 2, 2\).* \(1, 3, 3\)"),
    ],
)
def test_weights_of_timm_that_do_not_fit_are_refused_and_change_nothing(change, told):
    model = MaxViT(TIMM)
    before = snapshot(model)
    with pytest.raises(ValueError, match=told):
        load_timm(model, change(weights_of_timm()))
    assert same(model.state_dict(), before)


def test_weights_of_timm_are_all_taken_and_none_is_shared():
    theirs, model = weights_of_timm(), MaxViT(TIMM)
    assert load_timm(model, theirs) is model
    ours = model.state_dict()
    assert sum(x.numel() for x in ours.values()) == sum(x.numel() for x in theirs.values())
    assert torch.equal(ours["head.classify.weight"], theirs["head.fc.weight"])
    places = {tensor.untyped_storage().data_ptr() for tensor in theirs.values()}
    assert not places & {tensor.untyped_storage().data_ptr() for tensor in ours.values()}


NARROW = {  # some stages keep their channels, so their shortcut has no projection
    "tiny": (64, 64, 96, 96),
    "small": (32, 64, 64, 96),
    "base": (32, 32, 64, 64),
    "large": (64, 64, 96, 128),
    "xlarge": (32, 64, 96, 128),
}


@pytest.mark.parametrize("name", NARROW)
def test_to_timm_is_the_inverse_of_load_timm_for_every_configuration(name):
    config = replace(CONFIGS[name], dims=NARROW[name])
    ours = network(config)
    theirs = to_timm(ours)
    sizes = {"embed_dim": config.dims, "head_hidden_size": config.dims[-1]}
    model = MaxxVit(replace(model_cfgs[f"maxvit_{name}_tf"], **sizes), img_size=224)
    model.load_state_dict(theirs)  # all of them, and of these shapes
    assert same(load_timm(MaxViT(config), theirs).state_dict(), ours.state_dict())
    shuffled = dict(reversed(model.state_dict().items()))
    assert same(to_timm(load_timm(MaxViT(config), shuffled)), theirs)


def test_weights_for_timm_are_copies_and_may_come_out_of_a_wrapping():
    ours = network(TIMM)
    theirs = to_timm(torch.nn.DataParallel(ours))
    assert same(theirs, to_timm(ours))
    places = {tensor.untyped_storage().data_ptr() for tensor in ours.state_dict().values()}
    assert not places & {tensor.untyped_storage().data_ptr() for tensor in theirs.values()}


def test_what_timm_has_nothing_like_is_named():
    with pytest.raises(ValueError, match="models have nothing like our stem.positions"):
        to_timm(maxvit("vit"))


def test_of_many_tensors_that_do_not_fit_the_first_three_are_named():
    theirs = weights_of_timm()
    fewer = {name: tensor for name, tensor in theirs.items() if not name.startswith("head.")}
    more = {f"other.{letter}": torch.ones(1) for letter in "dbca"}
    head = "head.fc.bias, head.fc.weight, head.norm.bias"
    told = (
        f"these are not the weights of this network: 6 tensors are missing ({head}...) and 4 have "
        f"no place in it (other.a, other.b, other.c...)"
    )
    with pytest.raises(ValueError) as caught:
        load_timm(MaxViT(TIMM), fewer | more)
    assert str(caught.value) == told


@pytest.mark.parametrize("given", [[1], {"stem.conv1.weight": [1.0]}])
def test_what_is_no_state_dict_is_named(given):
    kind = type(given).__name__
    told = "load_timm takes a state_dict, {name: tensor}, got a " + kind
    with pytest.raises(ValueError) as caught:
        load_timm(MaxViT(TIMM), given)
    assert str(caught.value) == told


def test_query_key_and_value_are_taken_in_that_order():
    theirs, model = weights_of_timm(), MaxViT(TIMM).eval()
    packed = [name for name in theirs if ".qkv." in name]
    images = noise(1, 3, 64, 64).float()
    attention = load_timm(model, theirs).stages[0][0].parts[1].attention
    chunks = theirs["stages.0.blocks.0.attn_block.attn.qkv.weight"].chunk(3)
    for layer, chunk in zip((attention.query, attention.key, attention.value), chunks, strict=True):
        assert torch.equal(layer.weight, chunk)

    logits = []
    for order in permutations(range(3)):
        shuffled = {
            name: torch.cat([theirs[name].chunk(3)[place] for place in order]) for name in packed
        }
        with torch.no_grad():
            logits.append(load_timm(model, theirs | shuffled)(images))
    assert all((other - logits[0]).abs().max() > 1e-4 for other in logits[1:])


def test_an_order_of_parts_that_timm_does_not_have_is_refused():
    swapped = replace(TIMM, parts=((MBConv, GridAttention, BlockAttention), *3 * (MAXVIT_PARTS,)))
    load_timm(MaxViT(swapped), weights_of_timm())  # the same names: order is a setting, not weights
    with pytest.raises(ValueError, match="have no place in it"):
        load_timm(MaxViT(replace(TIMM, parts=4 * ((MBConv,),))), weights_of_timm())


@pytest.mark.parametrize("name", bundled())
def test_a_pretrained_network_is_there_at_once_and_ready(name):
    model, record = pretrained(name), pretrained_record(name)
    assert not model.training
    assert sum(p.numel() for p in model.parameters()) == record["parameters"] <= 1_500_000
    assert model.config == configuration(record["config"])
    assert (BUNDLED / f"{name}.safetensors").stat().st_size <= 4_000_000
    assert record["command"] and record["machine"]["processor"] and "seed" in record["recipe"]
    stored = safetensors.torch.load_file(BUNDLED / f"{name}.safetensors").values()
    assert {tensor.dtype for tensor in stored} == {torch.float16, torch.int64}  # 64: steps counted
    assert record["stored"] == "fp16" and {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", bundled())
def test_a_pretrained_network_is_as_accurate_as_its_record_says(name):
    record = pretrained_record(name)
    try:
        _, test = load_shapes() if record["data"]["source"] == "shapes" else load_cifar10()
    except FileNotFoundError as missing:
        pytest.skip(f"its test pictures are not here: {missing}")
    if test.sha256() != record["data"]["sha256"][1]:
        pytest.skip(f"the test pictures here are others: {test.source}")
    for flip, key in ((False, "accuracy"), (True, "accuracy_with_flip")):
        accuracy, confusion = evaluate(pretrained(name), test, flip=flip)
        assert accuracy == pytest.approx(record["result"][key], abs=0.001), key
        if not flip:
            assert abs(confusion - torch.tensor(record["confusion"])).sum() <= 0.002 * len(test)


def test_all_pretrained_networks_are_named_when_asked_for_another():
    assert bundled() == ["compact", "compact-shapes"]
    for get in (pretrained, pretrained_record):
        with pytest.raises(ValueError, match="'huge'; choose one of compact, compact-shapes, ti"):
            get("huge")


@pytest.mark.parametrize("wrap", ["compiled", "parallel", "both"])
def test_a_network_is_saved_without_what_is_around_it(wrap, tmp_path):
    model = network()
    wrapped = torch.compile(model, backend="eager") if wrap != "parallel" else model
    wrapped = torch.nn.DataParallel(wrapped) if wrap != "compiled" else wrapped
    save(wrapped, tmp_path / "a")
    assert same(load(tmp_path / "a").state_dict(), model.state_dict())


def test_a_pretrained_network_gets_a_last_layer_for_other_classes():
    ours, other = pretrained("compact"), pretrained("compact", num_classes=3)
    assert other.config == replace(ours.config, num_classes=3) and not other.training
    assert other(torch.zeros(2, 3, 32, 32)).shape == (2, 3)
    kept = {name for name in ours.state_dict() if not name.startswith("head.classify.")}
    assert len(kept) == len(ours.state_dict()) - 2
    for name in kept:
        assert torch.equal(other.state_dict()[name], ours.state_dict()[name])


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]
)
def test_timm_s_weights_may_come_out_of_a_wrapping(prefix):
    plain = load_timm(MaxViT(TIMM), weights_of_timm())
    wrapped = {f"{prefix}{name}": tensor for name, tensor in weights_of_timm().items()}
    ours = torch.nn.DataParallel(MaxViT(TIMM))
    assert load_timm(ours, wrapped) is ours
    assert same(ours.module.state_dict(), plain.state_dict())


def test_timm_s_weights_may_be_in_half_precision():
    half = {name: tensor.half() for name, tensor in weights_of_timm().items()}
    model = load_timm(MaxViT(TIMM), half)
    assert model.stem.conv1.weight.dtype == torch.float32
    assert torch.equal(model.stem.conv1.weight, half["stem.conv1.weight"].float())


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    save(network(), "~/mine/a")
    assert (tmp_path / "mine" / "a").is_file() and not (tmp_path / "~").exists()
    load("~/mine/a")


def test_loading_and_saving_leave_the_random_state_alone(tmp_path):
    model = network()
    state = torch.get_rng_state()
    save(model, tmp_path / "a")
    load(tmp_path / "a")
    pretrained("compact")
    pretrained("compact", num_classes=3)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("error", [OSError(5, "unreadable"), MemoryError()])
def test_a_file_is_not_blamed_for_what_is_wrong_elsewhere(error, tmp_path, monkeypatch):
    def load_file(_):
        raise error

    save(network(), tmp_path / "a")
    monkeypatch.setattr(safetensors.torch, "load_file", load_file)
    with pytest.raises(type(error)) as caught:
        load(tmp_path / "a")
    assert caught.value is error


def define():
    """Define a class, as a cell of a notebook does each time that it runs."""

    class Averaged(BlockAttention):
        """A part of somebody's own."""

    return Averaged


def test_a_class_that_is_defined_anew_takes_its_own_place_and_no_other(monkeypatch):
    monkeypatch.setattr(weights, "KINDS", dict(weights.KINDS))
    first, again = define(), define()
    weights.register(Averaged=first)
    weights.register(Averaged=again)
    assert weights.KINDS["Averaged"] is again is not first
    elsewhere = type("Averaged", (BlockAttention,), {"__module__": "elsewhere"})
    elsewhere.__qualname__ = first.__qualname__  # the same name in another file
    for other in (GridAttention, elsewhere, 3, 4):
        with pytest.raises(ValueError, match="'Averaged' already stands for "):
            weights.register(Averaged=other)
    assert weights.KINDS["Averaged"] is again
    weights.register(three=3)  # what has no name is itself
    with pytest.raises(ValueError, match="'three' already stands for 3"):
        weights.register(three=4)


def test_a_module_of_another_class_with_the_same_tensors_is_named(tmp_path):
    class Silent(torch.nn.Linear):
        """The same weights, and another use of them."""

    model = network()
    hidden = model.head.hidden
    model.head.hidden = Silent(hidden.in_features, hidden.out_features)
    with pytest.raises(ValueError, match="head.hidden is a Silent instead of a Linear$"):
        save(model, tmp_path / "a.safetensors")

    class Mine(MaxViT):
        """A network of somebody's own."""

    with pytest.raises(ValueError, match="the network is a Mine instead of a MaxViT$"):
        save(Mine(UNUSUAL), tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []
    model = network()
    model.watcher = torch.nn.Identity()  # one more, which does nothing
    save(model, tmp_path / "a.safetensors")


def test_why_a_file_is_refused_is_one_line_that_is_never_empty(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="save wrote: it does not say which network it holds$"):
        load(path)
    save(network(), path)

    def fail(*_):
        raise KeyError  # whose text is empty

    monkeypatch.setattr(weights, "configuration", fail)
    with pytest.raises(ValueError, match="save wrote: KeyError$"):
        load(path)


def test_folders_are_made_for_a_file(tmp_path):
    atomic_write(tmp_path / "a" / "b" / "file", lambda partial: partial.write_text("all"))
    assert (tmp_path / "a" / "b" / "file").read_text() == "all"
