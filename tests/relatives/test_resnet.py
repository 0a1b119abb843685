"""The pre-activation ResNet against its steps written out and against timm's unit."""

from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from helpers import measured_reads, noise, randomize, said_reads
from timm.layers import BatchNormAct2d
from timm.models.resnetv2 import PreActBasic
from torch import nn

from minimaxvit import CONFIGS, MaxViT, load, maxvit, save
from minimaxvit.relatives import RESNET, ResidualUnit, ResNetStem

SMALL = replace(RESNET, dims=(4, 6), depths=(1, 2), stem_dim=3, parts=RESNET.parts[:2])


def normalized(x, norm):
    mean, var = norm.running_mean, norm.running_var
    if norm.training:
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
    mean, var, weight, bias = (v[:, None, None] for v in (mean, var, norm.weight, norm.bias))
    return (x - mean) / torch.sqrt(var + 1e-3) * weight + bias


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("in_dim, dim", [(4, 4), (4, 6)])
@pytest.mark.parametrize("activation", [F.relu, F.gelu])
def test_a_unit_is_its_steps_written_out(activation, in_dim, dim, stride, training):
    unit = randomize(ResidualUnit(in_dim, dim, stride, activation=activation)).train(training)
    x = noise(3, in_dim, 6, 8)

    y = activation(normalized(x, unit.norm1))
    if stride == 1:
        y = F.conv2d(y, unit.conv1.weight, padding=1)
    else:  # even sides: zeros after them alone
        y = F.conv2d(F.pad(y, (0, 1, 0, 1)), unit.conv1.weight, stride=2)
    y = F.conv2d(activation(normalized(y, unit.norm2)), unit.conv2.weight, padding=1)
    shortcut = x
    if stride == 2:
        shortcut = x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).mean((3, 5))
    if in_dim != dim:
        project = unit.shortcut.project
        shortcut = F.conv2d(shortcut, project.weight, project.bias)

    torch.testing.assert_close(unit(x), shortcut + y)


def test_a_unit_is_that_of_timm():
    ours, norm = randomize(ResidualUnit(8, 8)), partial(BatchNormAct2d, eps=1e-3)
    conv = partial(nn.Conv2d, padding=1, bias=False)
    theirs = PreActBasic(8, conv_layer=conv, norm_layer=norm).double().eval()
    theirs.load_state_dict(ours.state_dict())
    x = noise(2, 8, 5, 6)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-9)


def test_the_stem_is_one_convolution():
    stem = randomize(ResNetStem(4, 1))
    images = noise(2, 3, 5, 6)
    torch.testing.assert_close(stem(images), F.conv2d(images, stem.conv1.weight, padding=1))


@pytest.mark.parametrize("stride", [1, 2])
def test_the_stem_strides_as_it_says_and_reads_what_its_steps_say(stride):
    stem = randomize(ResNetStem(4, stride))
    reads = measured_reads(stem.run, noise(1, 3, 7, 6))
    assert stem.stride == stride and len(reads) == {1: 7 * 6, 2: 4 * 3}[stride]
    assert torch.equal(reads, said_reads(stem.steps(), 7, 6))


@pytest.mark.parametrize("h, w", [(5, 6), (4, 7)])
@pytest.mark.parametrize("in_dim, dim, stride", [(4, 4, 1), (3, 4, 2)])
def test_a_unit_reads_what_its_steps_say(in_dim, dim, stride, h, w):
    # GELU, as ReLU passes nothing of what is below 0.
    unit = randomize(ResidualUnit(in_dim, dim, stride, activation=F.gelu))
    reads = measured_reads(unit.run, noise(1, in_dim, h, w))
    assert torch.equal(reads, said_reads(unit.steps(), h, w))
    if stride == 1:  # two 3x3 convolutions see 5x5
        near = torch.arange(h)[:, None] - torch.arange(h)[None]
        across = torch.arange(w)[:, None] - torch.arange(w)[None]
        assert torch.equal(reads, torch.kron(near.abs() <= 2, across.abs() <= 2))


def test_the_last_map_reads_what_all_steps_say_and_not_all_of_the_image():
    model, images = randomize(MaxViT(replace(SMALL, activation=F.gelu))), noise(1, 3, 48, 48)
    steps = [step for part in model.layers().values() for step in part.steps()]
    reads = measured_reads(lambda x: (model.features(x)[-1][..., ::5, ::5],), images)
    said = said_reads(steps, 48, 48).view(12, 12, -1)[::5, ::5].flatten(0, 1)
    assert torch.equal(reads, said) and not said.all()
    assert said_reads([*steps, *model.head.steps()], 48, 48).all()


def test_an_odd_side_keeps_its_end_and_no_size_is_refused():
    assert MaxViT(SMALL)(torch.zeros(1, 3, 37, 41)).shape == (1, 10)
    assert ResidualUnit(4, 6, 2)(torch.zeros(1, 4, 7, 5)).shape == (1, 6, 4, 3)
    with pytest.raises(ValueError, match="images of 0 x 8 give stem .* height 1 and width 8"):
        MaxViT(SMALL)(torch.zeros(1, 3, 0, 8))


def test_the_named_network_has_its_size():
    model = maxvit("resnet").eval()
    assert CONFIGS["resnet"] is RESNET and sum(p.numel() for p in model.parameters()) == 1_261_314
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    maps = [tuple(x.shape[1:]) for x in model.features(torch.zeros(2, 3, 32, 32))]
    assert maps == [(64, 16, 16), (128, 8, 8), (128, 4, 4)]
    assert "Conv3x3(24, 64, kernel_size=(3, 3), stride=(2, 2), bias=False)" in str(model)
    assert [m.bias for m in model.modules() if type(m).__name__ == "Conv3x3"] == 13 * [None]


def test_a_saved_network_comes_back(tmp_path):
    model, images = randomize(MaxViT(SMALL)).float(), noise(2, 3, 16, 16).float()
    save(model, tmp_path / "resnet")
    loaded = load(tmp_path / "resnet")
    assert loaded.config == SMALL and torch.equal(loaded(images), model(images))


@pytest.mark.parametrize("in_dim, stride", [(8, 1), (4, 2)])
def test_a_dropped_branch_leaves_the_shortcut(in_dim, stride):
    unit = ResidualUnit(in_dim, 8, stride, drop_path=1 - 1e-6).train()
    x = torch.randn(4, in_dim, 4, 4)
    assert torch.equal(unit(x), unit.shortcut(x))
