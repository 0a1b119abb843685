"""ConvNeXt's parts are timm's and torchvision's, and read, cost and follow what they say."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import noise, randomize, said_reads
from relatives.proofs import follows, multiply_adds, reads
from timm.layers import LayerNorm, LayerNorm2d
from timm.models.convnext import ConvNeXtBlock as InTimm, ConvNeXtStage
from torch import nn
from torchvision.models.convnext import CNBlock

from minimaxvit import CONFIGS, MaxViT, load, maxvit, save
from minimaxvit.relatives import CONVNEXT, ConvNeXtBlock, NormedDownsample

MAPS = pytest.mark.parametrize("h, w", [(9, 9), (4, 11), (1, 1)])


def randomized(module):
    """`randomize` knows no scales of channels, which at 1 would hide that they are there."""
    randomize(module)
    for part in module.modules():
        if isinstance(part, ConvNeXtBlock):
            nn.init.normal_(part.scale)
    return module


def block(dim=12, kind=ConvNeXtBlock):
    return randomized(kind(dim))


def same(found, expected):
    return torch.allclose(found, expected, rtol=0, atol=1e-9)


def renamed(state, names):
    """A state dict under a reference's names, by the beginnings of ours."""
    found = {}
    for name, tensor in state.items():
        ours = max((each for each in names if name.startswith(each)), key=len)
        found[name.replace(ours, names[ours])] = tensor
    return found


TIMM = {"depthwise": "conv_dw", "norm": "norm", "scale": "gamma"} | {
    f"feed_forward.{ours}": f"mlp.{theirs}"
    for ours, theirs in {"expand": "fc1", "shrink": "fc2"}.items()
}
TORCHVISION = {"depthwise": "block.0", "norm": "block.2", "scale": "layer_scale"} | {
    f"feed_forward.{ours}": f"block.{theirs}"
    for ours, theirs in {"expand": "3", "shrink": "5"}.items()
}


def timm_block(ours):
    theirs = InTimm(12).double().eval()
    theirs.load_state_dict(renamed(ours.state_dict(), TIMM))
    return theirs


def torchvision_block(ours):
    theirs = CNBlock(12, 1.0, 0.0).double().eval()
    state = ours.state_dict()
    theirs.load_state_dict(renamed(state | {"scale": state["scale"][:, None, None]}, TORCHVISION))
    return theirs


@MAPS
@pytest.mark.parametrize("theirs", [timm_block, torchvision_block])
def test_a_block_is_that_of_both_references(theirs, h, w):
    ours, x = block(), noise(2, 12, h, w)
    assert same(ours(x), theirs(ours)(x))


@MAPS
def test_a_block_is_its_loop_over_tokens(h, w):
    ours, x = block(), noise(2, 12, h, w)
    ffn, kernel = ours.feed_forward, ours.depthwise.weight[:, 0]  # (c, 7, 7)
    for row in range(h):
        for column in range(w):
            y = ours.depthwise.bias.expand(2, 12)
            for i in range(max(row - 3, 0), min(row + 4, h)):
                for j in range(max(column - 3, 0), min(column + 4, w)):
                    y = y + kernel[:, i - row + 3, j - column + 3] * x[:, :, i, j]
            y = (y - y.mean(1, keepdim=True)) / (y.var(1, False, keepdim=True) + 1e-6).sqrt()
            y = y * ours.norm.weight + ours.norm.bias
            y = F.gelu(y @ ffn.expand.weight.T + ffn.expand.bias)
            y = y @ ffn.shrink.weight.T + ffn.shrink.bias
            assert same(ours(x)[:, :, row, column], x[:, :, row, column] + ours.scale * y)


@pytest.mark.parametrize("stride, in_dim, dim", [(2, 6, 12), (4, 3, 6), (1, 6, 4)])
def test_downsampling_is_its_loop_over_patches(stride, in_dim, dim):
    ours, x = randomize(NormedDownsample(in_dim, dim, stride)), noise(2, in_dim, 8, 4)
    y = (x - x.mean(1, keepdim=True)) / (x.var(1, False, keepdim=True) + 1e-6).sqrt()
    y = y * ours.norm.weight[:, None, None] + ours.norm.bias[:, None, None]
    out = ours(x)
    assert out.shape == (2, dim, 8 // stride, 4 // stride)
    for row in range(out.shape[2]):
        for column in range(out.shape[3]):
            down, right = stride * row, stride * column
            patch = y[:, :, down : down + stride, right : right + stride].flatten(1)
            expected = patch @ ours.project.weight.flatten(1).T + ours.project.bias
            assert same(out[:, :, row, column], expected)


def test_a_stage_with_its_downsampling_is_that_of_timm():
    norms = {"norm_layer": LayerNorm2d, "norm_layer_cl": LayerNorm}
    theirs = ConvNeXtStage(6, 12, depth=2, **norms).double().eval()
    down, blocks = randomize(NormedDownsample(6, 12, 2)), [block(), block()]
    found = renamed(down.state_dict(), {"norm": "downsample.0", "project": "downsample.1"})
    for number, each in enumerate(blocks):
        nn.init.normal_(each.depthwise.weight)
        for name, tensor in renamed(each.state_dict(), TIMM).items():
            found[f"blocks.{number}.{name}"] = tensor
    theirs.load_state_dict(found)
    x = noise(2, 6, 8, 10)
    assert same(nn.Sequential(down, *blocks)(x), theirs(x))


class NormBeforeTheConvolution(ConvNeXtBlock):
    def forward(self, x):
        y = self.depthwise(self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
        y = self.scale * self.feed_forward(y.permute(0, 2, 3, 1))
        return x + y.permute(0, 3, 1, 2)


class TwoShortcuts(ConvNeXtBlock):
    def forward(self, x):
        x = x + self.depthwise(x)
        y = self.scale * self.feed_forward(self.norm(x.permute(0, 2, 3, 1)))
        return x + y.permute(0, 3, 1, 2)


class ScalesTheShortcutToo(ConvNeXtBlock):
    def forward(self, x):
        y = self.feed_forward(self.norm(self.depthwise(x).permute(0, 2, 3, 1)))
        return self.scale[:, None, None] * (x + y.permute(0, 3, 1, 2))


class WithoutScale(ConvNeXtBlock):
    def forward(self, x):
        return x + self.feed_forward(self.norm(self.depthwise(x).permute(0, 2, 3, 1))).permute(
            0, 3, 1, 2
        )


class TanhGELU(ConvNeXtBlock):
    def __init__(self, dim):
        super().__init__(dim, activation=lambda x: F.gelu(x, approximate="tanh"))


WRONG = (NormBeforeTheConvolution, TwoShortcuts, ScalesTheShortcutToo, WithoutScale, TanhGELU)


@pytest.mark.parametrize("wrong", WRONG)
def test_what_ports_get_wrong_is_caught(wrong):
    ours, planted, x = block(), block(kind=wrong), noise(2, 12, 5, 8)
    theirs = timm_block(ours)(x)
    assert same(ours(x), theirs)
    assert (planted(x) - theirs).abs().max() > (1e-4 if wrong is TanhGELU else 1e-2)


def test_pytorchs_eps_is_caught_where_tokens_vary_little():
    ours, x = block(), noise(2, 12, 5, 8) / 1000
    ours.depthwise.bias.data.zero_()
    theirs = timm_block(ours)(x)
    assert same(ours(x), theirs)
    ours.norm.eps = 1e-5
    assert (ours(x) - theirs).abs().max() > 1e-2


@pytest.mark.parametrize("h, w", [(8, 8), (3, 10), (9, 2)])
def test_a_block_reads_what_its_steps_say(h, w):
    found = reads(block(4), 4, h, w)
    (add,) = block(4).steps()
    assert () in add.branches  # the shortcut, which the kernel hides
    near = [(torch.arange(n)[:, None] - torch.arange(n)).abs() <= 3 for n in (h, w)]
    assert torch.equal(found, torch.kron(*near))


@pytest.mark.parametrize("h, w", [(4, 4), (2, 6)])
def test_downsampling_reads_its_patch(h, w):
    found = reads(randomize(NormedDownsample(3, 6, 2)), 3, h, w)
    assert len(found) == h * w // 4 and (found.sum(1) == 4).all()


def test_a_block_reads_49_tokens_and_five_make_a_map_of_16_by_16_whole():
    blocks = [block(4) for _ in range(5)]
    steps = [step for each in blocks for step in each.steps()]
    one, four, five = (said_reads(steps[:depth], 16, 16) for depth in (1, 4, 5))
    assert one.sum(1).max() == 49 and one[0].sum() == 16
    assert not four.all() and five.all()
    x = noise(1, 4, 16, 16).requires_grad_()
    for depth, said in ((1, one), (4, four), (5, five)):
        (gradient,) = torch.autograd.grad(nn.Sequential(*blocks[:depth])(x)[0, :, 0, 0].sum(), x)
        assert torch.equal((gradient[0] != 0).any(0).flatten(), said[0])


@pytest.mark.parametrize("h, w", [(8, 8), (16, 16), (5, 7)])
def test_multiply_adds_grow_with_the_tokens_alone(h, w):
    n, c = h * w, 64
    kernel, feed_forward = 49 * n * c, 2 * 4 * n * c**2
    assert multiply_adds(ConvNeXtBlock(c).double(), c, h, w) == kernel + feed_forward
    down = NormedDownsample(c, 2 * c, 2).double()
    assert multiply_adds(down, c, 8, 8) == 16 * (4 * c) * (2 * c)


def test_a_block_follows_shifts_but_for_its_zeros_at_the_edges():
    ours = block(4)
    assert not follows(ours, 4, 8, 8, 1, 0)  # tokens that come around an edge had zeros beside them
    around = nn.Conv2d(4, 4, 7, padding=3, groups=4, padding_mode="circular").double()
    around.load_state_dict(ours.depthwise.state_dict())
    ours.depthwise = around
    assert follows(ours, 4, 8, 9, 1, 0) and follows(ours, 4, 8, 9, 3, 5)
    x = noise(1, 4, 5, 6)
    assert not same(ours(x.mT), ours(x).mT)  # a kernel that is not symmetric tells rows by columns


def test_downsampling_follows_shifts_by_whole_patches_alone():
    ours, x = randomize(NormedDownsample(4, 6, 2)), noise(1, 4, 8, 6)
    assert same(ours(x.roll((2, 4), (2, 3))), ours(x).roll((1, 2), (2, 3)))
    moved = ours(x.roll(1, 2))
    assert not any(same(moved, ours(x).roll(by, 2)) for by in (0, 1))


def test_bad_sizes_are_refused_by_name():
    model = maxvit("convnext")
    with pytest.raises(ValueError, match="2.1 NormedDownsample a map of 17 x 16 .* divisible by 2"):
        model(torch.zeros(1, 3, 34, 32))
    with pytest.raises(ValueError, match="3.1 NormedDownsample a map of 9 x 8 .* height 32 or 39"):
        model(torch.zeros(1, 3, 36, 32))
    assert model(torch.zeros(1, 3, 40, 24)).shape == (1, 10)


def test_the_named_network_is_compact_but_for_its_parts_and_depths():
    model = maxvit("convnext").eval()
    assert CONFIGS["convnext"] is CONVNEXT
    assert sum(p.numel() for p in model.parameters()) == 913_354
    compact = CONFIGS["compact"]
    differs = ("depths", "window", "parts", "downsample")
    assert replace(CONVNEXT, **{name: getattr(compact, name) for name in differs}) == compact
    maps = [tuple(x.shape[1:]) for x in model.features(torch.zeros(2, 3, 32, 32))]
    assert maps == [(32, 16, 16), (96, 8, 8), (192, 4, 4)]
    kinds = [name.split()[1].rstrip(",") for name in list(model.layers())[1:]]
    down, blocks = ["NormedDownsample"], ["ConvNeXtBlock"]
    assert kinds == [*3 * blocks, *down, *3 * blocks, *down, *4 * blocks]


def test_a_saved_network_comes_back(tmp_path):
    config = replace(
        CONVNEXT, dims=(8, 12), depths=(1, 1), strides=(1, 2), stem_dim=8, parts=CONVNEXT.parts[1:]
    )
    model, images = randomized(MaxViT(config)).float(), noise(2, 3, 16, 16).float()
    save(model, tmp_path / "convnext")
    loaded = load(tmp_path / "convnext")
    assert loaded.config == config and torch.equal(loaded(images), model(images))


def test_scales_begin_at_one_and_learn():
    torch.manual_seed(0)
    ours = ConvNeXtBlock(8)
    assert (ours.scale == 1).all()
    ours(torch.randn(2, 8, 5, 5)).square().sum().backward()
    assert all((parameter.grad != 0).any() for parameter in ours.parameters())


def test_a_dropped_branch_leaves_the_shortcut():
    ours, x = ConvNeXtBlock(8, drop_path=1 - 1e-6).train(), torch.randn(2, 8, 4, 4)
    assert torch.equal(ours(x), x)
