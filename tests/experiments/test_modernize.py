"""From a ResNet's block to ConvNeXt's: each is its formula, reads what it says, and is one step."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import noise, normalized, randomize
from relatives.proofs import follows, multiply_adds, reads
from torch import nn

from minimaxvit import MaxViT, load, save
from minimaxvit.experiments.modernize import (
    BLOCKS,
    NETWORKS,
    DepthwiseBlock,
    DepthwiseFirst,
    LargeKernel,
    OneNorm,
    ResNetBlock,
)
from minimaxvit.relatives import CONVNEXT, ConvNeXtBlock, ResidualUnit

PRE_ACTIVATED = (DepthwiseBlock, DepthwiseFirst, LargeKernel)
MAPS = pytest.mark.parametrize("h, w", [(8, 8), (4, 11), (1, 1)])
every_block = pytest.mark.parametrize("kind", BLOCKS.values(), ids=BLOCKS)


def same(found, expected):
    return torch.allclose(found, expected, rtol=0, atol=1e-9)


def token_by_token(conv, x):
    """A depthwise or a 1x1 convolution as a loop over the tokens that each token reads."""
    h, w = x.shape[2:]
    reach = conv.kernel_size[0] // 2
    out = x.new_zeros(len(x), conv.out_channels, h, w)
    if conv.bias is not None:
        out += conv.bias[:, None, None]
    for row in range(h):
        for column in range(w):
            for i in range(max(row - reach, 0), min(row + reach + 1, h)):
                for j in range(max(column - reach, 0), min(column + reach + 1, w)):
                    tap, read = conv.weight[..., i - row + reach, j - column + reach], x[..., i, j]
                    found = tap[:, 0] * read if conv.groups > 1 else read @ tap.T
                    out[:, :, row, column] += found
    return out


def gelu(x):
    return x * (1 + torch.erf(x / 2**0.5)) / 2


@torch.no_grad()
@MAPS
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", PRE_ACTIVATED)
def test_a_pre_activated_block_is_its_loop_over_tokens(kind, training, h, w):
    ours, x = randomize(kind(6, expansion=3)).train(training), noise(3, 6, h, w)
    y = x
    for norm, conv in zip(ours.norms, ours.convolutions, strict=True):
        y = token_by_token(conv, normalized(y, norm).clamp(min=0))
    assert same(ours(x), x + y)


@torch.no_grad()
@MAPS
@pytest.mark.parametrize("training", [False, True])
def test_a_block_with_one_norm_is_its_loop_over_tokens(training, h, w):
    ours, x = randomize(OneNorm(6, expansion=3)).train(training), noise(3, 6, h, w)
    ffn = ours.feed_forward
    y = normalized(token_by_token(ours.depthwise, x), ours.norm).permute(0, 2, 3, 1)
    y = gelu(y @ ffn.expand.weight.T + ffn.expand.bias) @ ffn.shrink.weight.T + ffn.shrink.bias
    assert same(ours(x), x + y.permute(0, 3, 1, 2))


@pytest.mark.parametrize(
    "kind, shapes",
    [
        (DepthwiseBlock, [(12, 4, 1, 1), (12, 1, 3, 3), (4, 12, 1, 1)]),
        (DepthwiseFirst, [(4, 1, 3, 3), (12, 4, 1, 1), (4, 12, 1, 1)]),
        (LargeKernel, [(4, 1, 7, 7), (12, 4, 1, 1), (4, 12, 1, 1)]),
        (OneNorm, [(4, 1, 7, 7), (12, 4), (4, 12)]),
        (ConvNeXtBlock, [(4, 1, 7, 7), (12, 4), (4, 12)]),
    ],
)
def test_each_step_changes_what_its_name_says(kind, shapes):
    assert [p.shape for p in kind(4, expansion=3).parameters() if p.ndim > 1] == shapes
    inside = {False: nn.BatchNorm2d, True: nn.LayerNorm}[kind is ConvNeXtBlock]
    norms = [part for part in kind(4).modules() if isinstance(part, nn.BatchNorm2d | nn.LayerNorm)]
    assert len(norms) == (3 if kind in PRE_ACTIVATED else 1)
    assert all(isinstance(norm, inside) for norm in norms)


def test_the_first_is_the_resnets_unit():
    ours, theirs, x = randomize(ResNetBlock(6)), randomize(ResidualUnit(6, 6)), noise(2, 6, 5, 8)
    assert list(NETWORKS)[0] == "ResNet block" and BLOCKS["ResNet block"] is ResNetBlock
    assert torch.equal(ours(x), theirs(x)) and ours.activation is F.relu
    assert str(ours).replace("ResNetBlock", "") == str(theirs).replace("ResidualUnit", "")


def test_the_last_is_convnexts_network_with_the_width_of_the_paper():
    assert list(BLOCKS.values())[-1] is ConvNeXtBlock
    assert list(NETWORKS.values())[-1] == replace(CONVNEXT, expansion=4)


def test_one_norm_and_convnexts_block_differ_by_the_norm_and_the_scale_alone():
    ours, theirs, x = randomize(OneNorm(6)), randomize(ConvNeXtBlock(6)), noise(2, 6, 5, 8)
    theirs.load_state_dict(ours.state_dict(), strict=False)
    ours.norm = theirs.norm = (
        nn.Identity()
    )  # layer norm takes (b, h, w, c), batch norm (b, c, h, w)
    assert same(ours(x), theirs(x)) and (theirs.scale == 1).all()


def test_the_steps_are_taken_in_order_and_the_networks_have_their_sizes():
    assert {
        name: (config.parts[0][0], sum(p.numel() for p in MaxViT(config).parameters()))
        for name, config in NETWORKS.items()
    } == {
        "ResNet block": (ResNetBlock, 3_347_914),
        "depthwise, wider inside": (DepthwiseBlock, 1_623_754),
        "depthwise first": (DepthwiseFirst, 1_585_738),
        "7 x 7 kernel": (LargeKernel, 1_631_818),
        "one GELU, one norm": (OneNorm, 1_627_210),
        "ConvNeXt block": (ConvNeXtBlock, 1_628_362),
    }
    assert (
        list(NETWORKS)
        == list(BLOCKS)
        == [
            *("ResNet block", "depthwise, wider inside", "depthwise first"),
            *("7 x 7 kernel", "one GELU, one norm", "ConvNeXt block"),
        ]
    )


def test_networks_differ_in_their_blocks_alone():
    first, *others = NETWORKS.values()
    assert NETWORKS.keys() == BLOCKS.keys()
    for config, block in zip(NETWORKS.values(), BLOCKS.values(), strict=True):
        assert config.parts == 3 * ((block,),)
    assert all(replace(other, parts=first.parts) == first for other in others)


@pytest.mark.parametrize(
    "kind, reach",
    [(DepthwiseBlock, 1), (DepthwiseFirst, 1), (LargeKernel, 3), (OneNorm, 3)],
)
@pytest.mark.parametrize("h, w", [(8, 8), (3, 10)])
def test_a_block_reads_what_its_steps_say(kind, reach, h, w, monkeypatch):
    monkeypatch.setattr(F, "relu", F.gelu)  # ReLU passes nothing of what is below 0
    found = reads(randomize(kind(4)), 4, h, w)
    near = [(torch.arange(n)[:, None] - torch.arange(n)).abs() <= reach for n in (h, w)]
    assert torch.equal(found, torch.kron(*near))
    (add,) = kind(4).steps()
    assert () in add.branches  # the shortcut, which the kernel hides


@pytest.mark.parametrize("h, w", [(8, 8), (5, 7)])
def test_multiply_adds_are_those_of_the_formulas(h, w):
    n, c = h * w, 16
    mixing = 2 * 4 * n * c**2
    expected = {
        ResNetBlock: 2 * 9 * n * c**2,
        DepthwiseBlock: mixing + 9 * n * 4 * c,
        DepthwiseFirst: mixing + 9 * n * c,
        LargeKernel: mixing + 49 * n * c,
        OneNorm: mixing + 49 * n * c,
        ConvNeXtBlock: mixing + 49 * n * c,
    }
    assert {kind: multiply_adds(kind(c).double(), c, h, w) for kind in expected} == expected


@every_block
def test_a_block_notices_shifts_at_the_edges_alone(kind):
    ours = randomize(kind(4))
    assert not follows(ours, 4, 16, 16, 1, 0)
    x, middle = noise(1, 4, 16, 16), (..., slice(5, -5), slice(5, -5))
    moved = ours(x.roll((2, 1), (2, 3))).roll((-2, -1), (2, 3))
    assert same(moved[middle], ours(x)[middle])


@pytest.mark.parametrize("name", BLOCKS)
def test_a_saved_network_comes_back(name, tmp_path):
    sizes = {"dims": (8, 12), "depths": (1, 2), "strides": (1, 2), "stem_dim": 8}
    config = replace(NETWORKS[name], parts=NETWORKS[name].parts[1:], **sizes)
    model, images = randomize(MaxViT(config)).float(), noise(2, 3, 16, 16).float()
    save(model, tmp_path / "saved")
    loaded = load(tmp_path / "saved")
    assert loaded.config == config and torch.equal(loaded(images), model(images))


@every_block
def test_every_weight_learns_and_a_dropped_branch_leaves_the_shortcut(kind):
    torch.manual_seed(0)
    ours, x = kind(8), torch.randn(2, 8, 5, 5)
    ours(x).square().sum().backward()
    assert all((parameter.grad != 0).any() for parameter in ours.parameters())
    assert torch.equal(kind(8, drop_path=1 - 1e-6).train()(x), x)
