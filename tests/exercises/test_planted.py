"""Lesson 7's network: each of its bugs is there, no other suspect is, and `found` knows it."""

import copy
from itertools import chain

import pytest
import torch
import torch.nn.functional as F
from helpers import noise
from torch import nn

from minimaxvit import (
    MAX_SA,
    FeedForward,
    GridAttention,
    MaxViT,
    MBConv,
    RelativeAttention,
    grid_partition,
    relative_position_index,
)
from minimaxvit.exercises.planted import (
    PLANTED,
    PLANTED_CONFIG,
    SUSPECTS,
    clue,
    found,
    planted,
    verdict,
)
from minimaxvit.network import Stem

CHECKS = {}  # for each suspect: a function that yields whether a network is free of it


def suspect(check):
    CHECKS[check.__name__] = check
    return check


def parts(model, kind):
    found = [part for part in model.modules() if isinstance(part, kind)]
    assert found
    return found


@suspect
def heads(model):
    for attention in parts(model, RelativeAttention):
        yield len(attention.bias()) == attention.query.in_features // 32


@suspect
def gathered(model):
    model(torch.randn(2, 3, 64, 64)).sum().backward()
    for attention in parts(model, RelativeAttention):
        yield attention.bias.table.grad is not None


@suspect
def grid(model):
    group = next(g for g in grid_partition(torch.arange(64).view(1, 8, 8, 1), 4)[0] if 0 in g)
    for layer in parts(model, GridAttention):
        layer.double().eval()
        c = layer.attention_norm.normalized_shape[0]
        x = noise(1, c, 8, 8).requires_grad_()
        layer(x)[0, :, 0, 0].sum().backward()
        seen = x.grad[0].abs().sum(0).flatten().nonzero()
        yield torch.equal(seen.flatten(), group.flatten())


@suspect
def height(model):
    try:
        yield model(torch.randn(1, 3, 64, 128)).shape == (1, 10)
        yield model(torch.randn(1, 3, 128, 64)).shape == (1, 10)
    except Exception:
        yield False


@suspect
def times(model):
    for layer in parts(model, MAX_SA):
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)
        x = torch.randn(2, layer.attention_norm.normalized_shape[0], 8, 8)
        for training in (True, False):
            layer.train(training)
            yield torch.equal(layer(x), x)


@suspect
def drop_windows(model):
    for layer in parts(model, MAX_SA)[2:]:  # the first block drops nothing
        assert layer.drop.rate > 0
        kept = layer.drop.train()(torch.ones(64, 16, 16, 1)).flatten(1) > 0
        assert 0 < kept.float().mean() < 1
        yield torch.equal(kept.any(1), kept.all(1))


@suspect
def momentum(model):
    for norm in parts(model, nn.BatchNorm2d):
        norm.train()(torch.full((2, norm.num_features, 2, 2), 5.0))
        yield torch.allclose(norm.running_mean, torch.tensor(0.05))


@suspect
def padding(model):
    stem = Stem(PLANTED_CONFIG.stem_dim)
    stem.load_state_dict(model.stem.state_dict())
    x = torch.randn(1, 3, 16, 16)
    yield torch.allclose(stem.eval()(x), model.stem.eval()(x), atol=1e-6)
    for conv in parts(model, MBConv):
        c = conv.depthwise.in_channels
        x, kernel = torch.randn(1, c, 8, 8), conv.depthwise.weight
        stride = conv.depthwise.stride[0]
        pads = (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1)
        expected = F.conv2d(F.pad(x, pads), kernel, stride=stride, groups=c)
        yield torch.allclose(conv.depthwise(x), expected, atol=1e-6)


@suspect
def expansion(model):
    for conv in parts(model, MBConv):
        yield conv.expand.out_channels == 4 * conv.shrink.out_channels


@suspect
def scale(model):
    for layer in parts(model, MAX_SA):
        head_dim, c = layer.attention.head_dim, layer.attention.query.in_features
        ours = RelativeAttention(c, layer.window, head_dim).double()
        ours.load_state_dict(layer.attention.state_dict())
        ours.bias = layer.attention.bias.double()
        x = 20 * noise(1, 2, 16, c)  # large, because the scores of a new network are almost 0
        yield torch.allclose(ours(x), layer.attention.double()(x))


@suspect
def mirrored(model):
    for attention in parts(model, RelativeAttention):
        bias = attention.bias
        yield torch.equal(bias(), bias.table.flatten(1)[:, relative_position_index(4)])


@suspect
def gelu(model):
    for layer in parts(model, FeedForward):
        c = layer.expand.in_features
        ours = FeedForward(c)
        ours.load_state_dict(layer.state_dict())
        x = noise(3, c)
        yield torch.allclose(ours.double()(x), layer.double()(x), rtol=0, atol=1e-12)


@suspect
def head_tanh(model):
    head, x = model.head, 20 * torch.randn(2, 128, 4, 4)
    expected = head.classify(torch.tanh(head.hidden(head.norm(x.mean((2, 3))))))
    yield torch.allclose(head(x), expected)


def there(model):
    """The names of the suspects that are in a network, each checked in a copy of its own."""
    return {key for key, check in CHECKS.items() if not all(list(check(copy.deepcopy(model))))}


def build(names):
    torch.manual_seed(0)
    return planted(names)


def test_every_suspect_can_be_checked_and_some_are_not_there():
    assert set(CHECKS) == set(SUSPECTS)
    assert set(PLANTED) < set(SUSPECTS) and len(PLANTED) == 8


def test_the_correct_network_is_free_of_all():
    assert there(MaxViT(PLANTED_CONFIG)) == there(build(())) == set()


@pytest.mark.parametrize("name", PLANTED)
def test_a_bug_planted_alone_is_there_and_no_other(name):
    assert there(build((name,))) == {name}


def shrink(model):
    for block in chain(*model.stages):
        conv = block.parts[0]
        sizes = conv.norm.num_features, conv.shrink.out_channels, conv.depthwise.stride[0]
        block.parts[0] = MBConv(*sizes, expansion=1)


def scaled(model):
    for attention in parts(model, RelativeAttention):
        factor = (32 / attention.query.in_features) ** 0.5
        attention.query.register_forward_hook(lambda _, x, out, factor=factor: factor * out)


def transposed(model):
    for attention in parts(model, RelativeAttention):
        attention.bias.index = attention.bias.index.T


def exact(model):
    for layer in parts(model, FeedForward):
        layer.forward = lambda x, layer=layer: layer.shrink(F.gelu(layer.expand(x)))


def straight(model):
    head = model.head
    head.forward = lambda x: head.classify(head.hidden(head.norm(x.mean((2, 3)))))


ABSENT = {
    "expansion": shrink,
    "scale": scaled,
    "mirrored": transposed,
    "gelu": exact,
    "head_tanh": straight,
}


@pytest.mark.parametrize("name", sorted(SUSPECTS.keys() - PLANTED.keys()))
def test_a_suspect_that_is_not_planted_would_be_found(name):
    model = MaxViT(PLANTED_CONFIG)
    ABSENT[name](model)
    assert not all(list(CHECKS[name](model)))


def test_all_eight_are_there_and_none_hides_another():
    assert there(build(None)) == set(PLANTED)


@pytest.mark.parametrize("mode", [True, False])
def test_the_planted_network_runs_on_a_square_image(mode):
    model = build(None).train(mode)
    logits = model(torch.randn(2, 3, 64, 64))
    assert logits.shape == (2, 10) and logits.isfinite().all()
    logits.sum().backward()


def test_its_parameters_are_off_by_the_tables_of_too_many_heads_alone():
    def count(model):
        return sum(parameter.numel() for parameter in model.parameters())

    too_many = 2 * (32 - 2) * 49 + 4 * (32 - 4) * 49
    assert count(build(None)) - count(MaxViT(PLANTED_CONFIG)) == too_many


def test_print_shows_no_bugs_but_the_two_that_are_settings():
    model, ours = build(None), MaxViT(PLANTED_CONFIG)
    shown = repr(model)
    settings = {"momentum=0.99": "momentum=0.01"}
    settings |= {f"heads=32, head_dim={n}": f"heads={n}, head_dim=32" for n in (2, 4)}
    for wrong, right in settings.items():
        assert wrong in shown
        shown = shown.replace(wrong, right)
    assert shown == repr(ours)
    classes = [[type(part) for part in network.modules()] for network in (model, ours)]
    assert classes[0] == classes[1]


def test_found_counts_what_is_right_and_names_only_what_is_wrong(capsys):
    found()
    assert capsys.readouterr().out.startswith("Not attempted yet")
    found(*PLANTED)
    assert capsys.readouterr().out == "Right: these are all 8 of them.\n"
    assert verdict(("grid", "grid")) == "1 of the 8 found."
    assert verdict(("grid", "gelu", "scale", "times")) == (
        "2 of the 8 found.\nNot in this network: gelu, scale."
    )
    assert verdict(("gelu",)) == "0 of the 8 found.\nNot in this network: gelu."


def test_found_counts_the_innocent_who_were_accused(capsys, monkeypatch):
    monkeypatch.setattr("minimaxvit.exercises.planted.ACCUSED", set())
    found("grid", "gird")
    assert "accused" not in capsys.readouterr().out
    found("grid", "gelu", "scale")
    said = "You have accused 2 of the 5 innocent suspects so far.\n"
    assert capsys.readouterr().out.endswith(f"Not in this network: gelu, scale.\n{said}")
    found("gelu", *PLANTED)
    assert capsys.readouterr().out.endswith(f"Not in this network: gelu.\n{said}")
    found(*PLANTED)
    assert capsys.readouterr().out == f"Right: these are all 8 of them.\n{said}"


def test_found_says_right_only_if_nothing_else_was_named():
    for extra in ("gelu", "gird"):
        assert verdict((*PLANTED, extra)).startswith("8 of the 8 found.\n")


def test_found_tells_an_unknown_name_from_an_absent_bug():
    said = verdict(("gird",))
    assert said.startswith(
        "0 of the 8 found.\nNo suspect is called 'gird'; the suspects are drop_windows,"
    )
    assert "Not in this network" not in said


@pytest.mark.parametrize("name", SUSPECTS)
def test_every_suspect_has_a_description_and_a_clue_that_does_not_say_whether(name, capsys):
    clue(name)
    assert capsys.readouterr().out == f"{name}: {SUSPECTS[name][1]}\n"
    assert all(len(text) > 20 for text in SUSPECTS[name])


def test_a_clue_for_nobody_says_who_is_suspected(capsys):
    clue("gird")
    assert capsys.readouterr().out.startswith("No suspect is called 'gird'")
