"""BiT's convolution and unit are timm's, and read, cost and follow what they say."""

from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from helpers import noise, randomize, said_reads
from relatives.proofs import follows, multiply_adds, reads
from timm.layers import GroupNormAct, StdConv2d, StdConv2dSame
from timm.models.resnetv2 import PreActBasic
from torch import nn

from minimaxvit import CONFIGS, MaxViT, load, maxvit, save
from minimaxvit.layers import Conv3x3
from minimaxvit.relatives import BIT, RESNET, GroupNormUnit, ResidualUnit, StandardizedConv3x3
from minimaxvit.relatives.bit import EPS
from minimaxvit.steps import Add, Gate, Taps

STANDARDIZED = partial(StdConv2d, eps=EPS)  # timm's own eps is 1e-6
MAPS = pytest.mark.parametrize("h, w", [(6, 6), (3, 8), (1, 2)])


def randomized(module):
    """`randomize` knows no group norms, whose weights at 1 would hide that they are there."""
    randomize(module)
    for part in module.modules():
        if isinstance(part, nn.GroupNorm):
            nn.init.uniform_(part.weight, 0.5, 1.5)
    return module


def unit(in_dim=64, dim=64, stride=1, kind=GroupNormUnit, **options):
    return randomized(kind(in_dim, dim, stride, **options))


def same(found, expected):
    return torch.allclose(found, expected, rtol=0, atol=1e-9)


def by_timm(ours, x, conv=STANDARDIZED, norm=GroupNormAct):
    theirs = PreActBasic(64, conv_layer=conv, norm_layer=norm).double().eval()
    theirs.load_state_dict(ours.state_dict())
    return theirs(x)


@pytest.mark.parametrize("h, w", [(6, 6), (6, 8), (5, 3)])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_convolution_is_that_of_timm(stride, h, w):
    ours = randomize(StandardizedConv3x3(6, 8, stride))
    theirs = StdConv2dSame(6, 8, 3, stride, bias=True, eps=EPS).double()
    theirs.load_state_dict(ours.state_dict())
    assert same(ours(noise(2, 6, h, w)), theirs(noise(2, 6, h, w)))


@MAPS
def test_a_unit_is_that_of_timm(h, w):
    ours, x = unit(), noise(2, 64, h, w)
    assert same(ours(x), by_timm(ours, x))


def standardized(weight):
    """Filter by filter, number by number."""
    out = torch.zeros_like(weight)
    for number, each in enumerate(weight):
        numbers = each.flatten().tolist()
        mean = sum(numbers) / len(numbers)
        variance = sum((one - mean) ** 2 for one in numbers) / len(numbers)
        out[number] = (each - mean) / (variance + EPS) ** 0.5
    return out


def normalized(x, norm):
    """Image by image, and two channels at a time, as 64 of them make 32 groups of."""
    out = torch.zeros_like(x)
    for image in range(len(x)):
        for first in range(0, x.shape[1], x.shape[1] // 32):
            group = slice(first, first + x.shape[1] // 32)
            y = x[image, group]
            y = (y - y.mean()) / (y.var(correction=0) + 1e-5).sqrt()
            out[image, group] = y * norm.weight[group, None, None] + norm.bias[group, None, None]
    return out


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("in_dim, dim, stride", [(64, 64, 1), (32, 64, 2), (64, 32, 1)])
def test_a_unit_is_its_steps_written_out(in_dim, dim, stride, training):
    ours, x = unit(in_dim, dim, stride).train(training), noise(2, in_dim, 4, 6)
    y = F.relu(normalized(x, ours.norm1))
    if stride == 1:
        y = F.conv2d(y, standardized(ours.conv1.weight), padding=1)
    else:  # even sides: zeros after them alone
        y = F.conv2d(F.pad(y, (0, 1, 0, 1)), standardized(ours.conv1.weight), stride=2)
    y = F.relu(normalized(y, ours.norm2))
    y = F.conv2d(y, standardized(ours.conv2.weight), padding=1)
    shortcut = x.unflatten(3, (-1, stride)).unflatten(2, (-1, stride)).mean((3, 5))
    if in_dim != dim:
        project = ours.shortcut.project
        shortcut = F.conv2d(shortcut, project.weight, project.bias)
    assert same(ours(x), shortcut + y)


def test_filters_have_mean_0_and_variance_1_whatever_was_learned():
    ours, x = randomize(StandardizedConv3x3(6, 8, bias=False)), noise(1, 6, 5, 5)
    before = ours(x)
    assert before.abs().max() > 1
    with torch.no_grad():
        ours.weight.mul_(7).add_(noise(8, 1, 1, 1))  # each filter by another number
    assert torch.allclose(ours(x), before, rtol=1e-7)
    assert not torch.allclose(F.conv2d(x, ours.weight, padding=1), before)


class UnbiasedVariance(StandardizedConv3x3):
    def _conv_forward(self, x, weight, bias):
        variance, mean = torch.var_mean(weight, (1, 2, 3), correction=1, keepdim=True)
        return nn.Conv2d._conv_forward(self, x, (weight - mean) / (variance + EPS).sqrt(), bias)


class OverAllFilters(StandardizedConv3x3):
    def _conv_forward(self, x, weight, bias):
        variance, mean = torch.var_mean(weight, correction=0)
        return nn.Conv2d._conv_forward(self, x, (weight - mean) / (variance + EPS).sqrt(), bias)


class PerInputChannel(StandardizedConv3x3):
    def _conv_forward(self, x, weight, bias):
        variance, mean = torch.var_mean(weight, (2, 3), correction=0, keepdim=True)
        return nn.Conv2d._conv_forward(self, x, (weight - mean) / (variance + EPS).sqrt(), bias)


class WithoutTheMean(StandardizedConv3x3):
    def _conv_forward(self, x, weight, bias):
        variance = weight.var((1, 2, 3), correction=0, keepdim=True)
        return nn.Conv2d._conv_forward(self, x, weight / (variance + EPS).sqrt(), bias)


@pytest.mark.parametrize("wrong", StandardizedConv3x3.__subclasses__())
def test_what_ports_get_wrong_of_the_convolution_is_caught(wrong):
    ours, planted = (randomize(kind(6, 8)) for kind in (StandardizedConv3x3, wrong))
    theirs = STANDARDIZED(6, 8, 3, bias=True).double()
    theirs.load_state_dict(ours.state_dict())
    x = noise(2, 6, 5, 5)
    assert same(ours(x), theirs(x)) and (planted(x) - theirs(x)).abs().max() > 1e-2


def test_timms_own_eps_is_caught_where_weights_are_tiny():
    ours, x = unit(), noise(2, 64, 4, 4)
    near = by_timm(ours, x, conv=StdConv2d)
    assert (ours(x) - near).abs().max() < ours(x).abs().max() / 100
    for conv in (ours.conv1, ours.conv2):
        conv.weight.data /= 100
    assert same(ours(x), by_timm(ours, x))
    assert (ours(x) - by_timm(ours, x, conv=StdConv2d)).abs().max() > 0.1


@pytest.mark.parametrize("groups", [1, 64])
def test_other_groups_and_a_plain_convolution_are_caught(groups):
    ours, x = unit(), noise(2, 64, 4, 4)
    others = by_timm(ours, x, norm=partial(GroupNormAct, num_groups=groups))
    assert (ours(x) - others).abs().max() > 1e-2
    plain = by_timm(ours, x, conv=partial(nn.Conv2d, padding=1, bias=False))
    assert (ours(x) - plain).abs().max() > 1e-2


def test_an_image_does_not_depend_on_its_batch_as_it_does_with_batch_norm():
    x = noise(3, 64, 4, 4)
    for kind in (GroupNormUnit, ResidualUnit):
        ours = unit(kind=kind).train()
        alone = torch.cat([ours(each[None]) for each in x])
        assert same(ours(x), alone) == (kind is GroupNormUnit)


class HeldNorm(nn.GroupNorm):
    """A norm that takes its statistics as given, as gates are held constant."""

    def forward(self, x):
        y = x.unflatten(1, (self.num_groups, -1))
        variance, mean = torch.var_mean(y.detach(), (2, 3, 4), correction=0, keepdim=True)
        y = ((y - mean) / (variance + self.eps).sqrt()).flatten(1, 2)
        return y * self.weight[:, None, None] + self.bias[:, None, None]


def held(ours):
    for name in ("norm1", "norm2"):
        norm = getattr(ours, name)
        constant = HeldNorm(norm.num_groups, norm.num_channels).double()
        constant.load_state_dict(norm.state_dict())
        setattr(ours, name, constant)
    return ours


@pytest.mark.parametrize("h, w", [(5, 6), (3, 7)])
@pytest.mark.parametrize("in_dim, dim, stride", [(32, 32, 1), (32, 64, 2)])
def test_a_unit_reads_what_its_steps_say_while_its_norms_are_held(in_dim, dim, stride, h, w):
    # GELU, as ReLU passes nothing of what is below 0.
    ours, x = unit(in_dim, dim, stride, activation=F.gelu), noise(1, in_dim, h, w)
    whole = ours(x)
    assert same(held(ours)(x), whole)
    found = reads(ours, in_dim, h, w)
    if stride == 1:  # two 3x3 convolutions see 5x5
        near = [(torch.arange(n)[:, None] - torch.arange(n)).abs() <= 2 for n in (h, w)]
        assert torch.equal(found, torch.kron(*near))
    branch = (Gate(), Taps(ours.conv1), Gate(), Taps(ours.conv2))
    assert ours.steps() == (Add((ours.shortcut.steps(), branch)),)


def test_norms_make_the_whole_map_matter_a_bit():
    ours, x = unit(32, 32, activation=F.gelu), noise(1, 32, 9, 9).requires_grad_()
    (free,) = torch.autograd.grad(ours(x)[0, :, 0, 0] @ noise(32), x)
    (kept,) = torch.autograd.grad(held(ours)(x)[0, :, 0, 0] @ noise(32), x)
    free, kept = (each[0].abs().amax(0) for each in (free, kept))
    assert (free > 0).all() and kept.count_nonzero() == 9  # a corner of the 5 x 5
    assert free[kept == 0].max() < free.max() / 5


def test_while_norms_are_held_eight_units_make_a_map_of_16_by_16_whole():
    steps = unit(32, 32).steps()
    assert not said_reads(7 * steps, 16, 16).all() and said_reads(8 * steps, 16, 16).all()


@pytest.mark.parametrize("kind", [GroupNormUnit, ResidualUnit])
@pytest.mark.parametrize("in_dim, dim, stride", [(64, 64, 1), (32, 64, 2)])
def test_multiply_adds_are_those_of_the_resnet(kind, in_dim, dim, stride):
    n = (8 // stride) ** 2  # on the map after the stride
    projection = n * in_dim * dim if in_dim != dim else 0
    expected = 9 * n * (in_dim + dim) * dim + projection
    assert multiply_adds(unit(in_dim, dim, stride, kind), in_dim, 8, 8) == expected


def test_a_unit_follows_shifts_but_for_its_zeros_at_the_edges():
    ours = unit(32, 32)
    assert not follows(ours, 32, 6, 7, 1, 0) and not follows(ours, 32, 6, 7, 0, 2)
    for name in ("conv1", "conv2"):
        around = StandardizedConv3x3(32, 32, bias=False, padding_mode="circular").double()
        around.load_state_dict(getattr(ours, name).state_dict())
        setattr(ours, name, around)
    assert follows(ours, 32, 6, 7, 1, 0) and follows(ours, 32, 6, 7, 3, 5)


def test_bad_sizes_are_refused_by_name():
    assert maxvit("bit")(torch.zeros(1, 3, 37, 41)).shape == (1, 10)
    with pytest.raises(ValueError, match="images of 0 x 8 give stem .* height 1 and width 8"):
        maxvit("bit")(torch.zeros(1, 3, 0, 8))
    for sizes in ((24, 32), (32, 24)):
        with pytest.raises(ValueError, match="24 channels do not divide into 32 groups"):
            GroupNormUnit(*sizes)


def test_the_named_network_is_the_resnet_but_for_its_units():
    model = maxvit("bit").eval()
    assert CONFIGS["bit"] is BIT and sum(p.numel() for p in model.parameters()) == 1_266_666
    assert replace(BIT, stem_dim=RESNET.stem_dim, parts=RESNET.parts) == RESNET
    maps = [tuple(x.shape[1:]) for x in model.features(torch.zeros(2, 3, 32, 32))]
    assert maps == [(64, 16, 16), (128, 8, 8), (128, 4, 4)]
    assert not any(isinstance(each, nn.BatchNorm2d) for each in model.modules())
    kinds = [type(each) for each in model.modules() if isinstance(each, Conv3x3)]
    assert kinds == [Conv3x3] + 12 * [StandardizedConv3x3]


def test_a_saved_network_comes_back(tmp_path):
    config = replace(BIT, dims=(32, 64), depths=(1, 1), parts=BIT.parts[:2])
    model, images = randomized(MaxViT(config)).float(), noise(2, 3, 16, 16).float()
    save(model, tmp_path / "bit")
    loaded = load(tmp_path / "bit")
    assert loaded.config == config and torch.equal(loaded(images), model(images))


def test_it_learns_behind_a_stem_that_is_frozen_which_crashes_pytorchs_own_norm():
    torch.manual_seed(0)
    ours = GroupNormUnit(32, 32).double().to(memory_format=torch.channels_last)
    x = noise(2, 32, 6, 6).contiguous(memory_format=torch.channels_last)
    ours(x).square().sum().backward()
    found = ours.norm1.weight.grad.clone()
    ours.zero_grad()
    ours(x.requires_grad_()).square().sum().backward()
    torch.testing.assert_close(found, ours.norm1.weight.grad)


def test_every_weight_learns():
    torch.manual_seed(0)
    ours = GroupNormUnit(32, 64, 2)
    ours(torch.randn(2, 32, 6, 6)).square().sum().backward()
    assert all((parameter.grad != 0).any() for parameter in ours.parameters())


@pytest.mark.parametrize("in_dim, stride", [(64, 1), (32, 2)])
def test_a_dropped_branch_leaves_the_shortcut(in_dim, stride):
    ours = GroupNormUnit(in_dim, 64, stride, drop_path=1 - 1e-6).train()
    x = torch.randn(4, in_dim, 4, 4)
    assert torch.equal(ours(x), ours.shortcut(x))
