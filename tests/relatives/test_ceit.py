"""CeiT is its formulas written out: the authors' code cannot be installed."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import measured_reads, noise, normalized, randomize, said_reads
from relatives.proofs import reads
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from minimaxvit import CONFIGS, MaxViT, load, maxvit, save
from minimaxvit.relatives import (
    CEIT,
    VIT,
    GlobalAttention,
    ImageToTokens,
    LocallyEnhancedAttention,
    LocallyEnhancedFeedForward,
)

SIZES = pytest.mark.parametrize("h, w", [(4, 4), (2, 5)])
SMALL = replace(CEIT, dims=(64, 64), depths=(1, 1), stem_dim=64, image_size=16, num_classes=5)


def randomized(module):
    """`randomize` knows no bare tokens and positions, which start so small that none is missed."""
    randomize(module)
    for name, parameter in module.named_parameters():
        if name.split(".")[-1] in ("positions", "class_token", "class_position"):
            nn.init.normal_(parameter)
    return module


def same(found, expected):
    return torch.allclose(found, expected, rtol=0, atol=1e-9)


def layer_of(dim=64, kind=LocallyEnhancedAttention, expansion=2):
    return randomized(kind(dim, expansion))


def looped_feed_forward(leff, x):
    """LeFF of one map, one token after the other: (c, h, w) -> the same."""
    _, h, w = x.shape

    def at_each_token(function):
        rows = [torch.stack([function(i, j) for j in range(w)], 1) for i in range(h)]
        return torch.stack(rows, 1)

    def near(y, i, j):
        kernel, total = leff.depthwise.weight[:, 0], 0
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                if 0 <= i + down < h and 0 <= j + right < w:
                    total += kernel[:, down + 1, right + 1] * y[:, i + down, j + right]
        return total

    expand, shrink = (each.weight[:, :, 0, 0] for each in (leff.expand, leff.shrink))
    wide = at_each_token(lambda i, j: expand @ x[:, i, j])
    wide = F.gelu(normalized(wide, leff.expand_norm))
    mixed = at_each_token(lambda i, j: near(wide, i, j))
    mixed = F.gelu(normalized(mixed, leff.depthwise_norm))
    narrow = at_each_token(lambda i, j: shrink @ mixed[:, i, j])
    return normalized(narrow, leff.shrink_norm)


def looped(layer, x, tokens):
    """A layer of one image: (c, h, w), (k, c)."""
    (c, h, w), attention, norm = x.shape, layer.attention, layer.feed_forward_norm
    y = torch.cat([x.flatten(1).T, tokens])
    z = layer.attention_norm(y)
    query, key, value = (f(z) for f in (attention.query, attention.key, attention.value))
    gathered = []
    for i in range(len(y)):
        heads = []
        for d in (slice(start, start + 32) for start in range(0, c, 32)):
            scores = torch.stack([query[i, d] @ each / 32**0.5 for each in key[:, d]])
            heads.append(scores.softmax(0) @ value[:, d])
        gathered.append(attention.output(torch.cat(heads)))
    y = y + torch.stack(gathered)
    z = F.layer_norm(y, (c,), norm.weight, norm.bias, eps=1e-6)
    transformed = looped_feed_forward(layer.feed_forward, z[: h * w].T.unflatten(1, (h, w)))
    out = y[: h * w] + transformed.flatten(1).T
    return out.T.unflatten(1, (h, w)), y[h * w :] + z[h * w :]


@SIZES
def test_a_layer_is_its_formula_in_a_loop_and_its_tokens_go_around_the_convolution(h, w):
    layer, x, tokens = layer_of(), noise(2, 64, h, w), noise(2, 1, 64, seed=2)
    with torch.no_grad():
        out, others = layer.run(x, tokens)
        for image in range(2):
            known, passed = looped(layer, x[image], tokens[image])
            assert same(out[image], known) and same(others[image], passed)


@SIZES
def test_the_feed_forward_is_three_convolutions_of_pytorch(h, w):
    leff, x = layer_of().feed_forward, noise(2, 1, h * w + 1, 64)
    theirs = nn.Sequential(
        nn.Conv2d(64, 128, 1, bias=False),
        nn.BatchNorm2d(128, eps=1e-3),
        nn.GELU(),
        nn.Conv2d(128, 128, 3, padding=1, groups=128, bias=False),
        nn.BatchNorm2d(128, eps=1e-3),
        nn.GELU(),
        nn.Conv2d(128, 64, 1, bias=False),
        nn.BatchNorm2d(64, eps=1e-3),
    )
    theirs.double().eval()
    ours = [leff.expand, leff.expand_norm, leff.depthwise, leff.depthwise_norm]
    ours += [leff.shrink, leff.shrink_norm]
    for number, part in zip((0, 1, 3, 4, 6, 7), ours, strict=True):
        theirs[number].load_state_dict(part.state_dict())
    expected = theirs(x[:, 0, :-1].mT.unflatten(2, (h, w))).flatten(2).mT
    found = leff(x, h, w)[:, 0]
    assert same(found[:, :-1], expected) and torch.equal(found[:, -1], x[:, 0, -1])


class ClassTokenLeftOut(LocallyEnhancedFeedForward):
    """As if going around it meant that nothing is added."""

    def forward(self, x, h, w):
        out = super().forward(x, h, w)
        return torch.cat([out[:, :, : h * w], torch.zeros_like(out[:, :, h * w :])], 2)


class ClassTokenThrough(LocallyEnhancedFeedForward):
    """The class token expanded and shrunk, too, as a map of one token."""

    def forward(self, x, h, w):
        token = super().forward(x[:, :, h * w :], 1, 1)
        return torch.cat([super().forward(x, h, w)[:, :, : h * w], token], 2)


class ClassTokenFirst(LocallyEnhancedFeedForward):
    """Split as where the class token comes first, which here it does not."""

    def forward(self, x, h, w):
        out = super().forward(x.roll(-1, 2), h, w)
        return out.roll(1, 2)


class ColumnByColumn(LocallyEnhancedFeedForward):
    def forward(self, x, h, w):
        order = torch.arange(h * w).view(w, h).T.flatten()
        order = torch.cat([order, torch.arange(h * w, x.shape[2])])
        return super().forward(x[:, :, order], h, w)[:, :, order.argsort()]


class WithoutLastNorm(LocallyEnhancedFeedForward):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.shrink_norm = nn.Identity()


class ActivatedOnce(LocallyEnhancedFeedForward):
    """Nothing between the depthwise convolution and the last, as in some bottlenecks."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        calls = iter((F.gelu, lambda y: y))
        self.activation = lambda y: next(calls)(y)


WRONG = (
    ClassTokenLeftOut,
    ClassTokenThrough,
    ClassTokenFirst,
    ColumnByColumn,
    WithoutLastNorm,
    ActivatedOnce,
)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_what_ports_get_wrong_is_caught(wrong):
    ours, planted, x, token = layer_of(), layer_of(), noise(1, 64, 2, 3), noise(1, 1, 64, seed=2)
    planted.feed_forward = wrong(64, 2).double().eval()
    planted.load_state_dict(ours.state_dict(), strict=wrong is not WithoutLastNorm)
    with torch.no_grad():
        known = looped(ours, x[0], token[0])
        differences = [
            max((found[0] - each).abs().max() for found, each in zip(out, known, strict=True))
            for out in (ours.run(x, token), planted.run(x, token))
        ]
    assert differences[0] < 1e-9 and differences[1] > 1e-2


def test_the_stem_is_its_formula_in_a_loop():
    stem, images = randomized(ImageToTokens(8, 4, image_size=8)), noise(2, 3, 8, 8)
    x, class_token = stem.run(images)
    assert x.shape == (2, 8, 2, 2)
    expected = (stem.class_token + stem.class_position)[0]
    assert all(torch.equal(each, expected) for each in class_token)
    for found, image in zip(x, images, strict=True):
        padded = F.pad(image, (1, 1, 1, 1))
        features = torch.zeros(32, 8, 8).double()
        for i in range(8):
            for j in range(8):
                window = padded[:, i : i + 3, j : j + 3]
                features[:, i, j] = torch.einsum("cij,ocij->o", window, stem.conv.weight)
        features = normalized(features, stem.norm)
        pooled = torch.zeros(32, 4, 4).double()
        for i in range(4):
            for j in range(4):
                window = features[:, max(2 * i - 1, 0) : 2 * i + 2, max(2 * j - 1, 0) : 2 * j + 2]
                pooled[:, i, j] = window.amax((1, 2))
        for i in range(2):
            for j in range(2):
                patch = pooled[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                token = torch.einsum("cij,ocij->o", patch, stem.project.weight)
                token = token + stem.project.bias + stem.positions[0, :, i, j]
                torch.testing.assert_close(found[:, i, j], token, rtol=0, atol=1e-9)


def test_stem_and_logits_read_what_their_steps_say_once_the_pool_takes_means():
    """Where it takes the largest, which pixels count depends on the image."""
    stem = randomized(ImageToTokens(8, 4, image_size=12))
    stem.pool = nn.AvgPool2d(3, stride=2, padding=1)
    found = measured_reads(stem.run, noise(1, 3, 12, 12))
    assert torch.equal(found, said_reads(stem.steps(), 12, 12))
    assert found[4].view(12, 12).nonzero().unique().tolist() == [*range(2, 9)]  # 7 x 7 of 4 x 4
    assert not found[9].any()  # a class token that begins has read nothing
    largest = measured_reads(randomized(ImageToTokens(8, 4, 12)).run, noise(1, 3, 12, 12))
    assert (largest <= found).all()

    model = randomized(MaxViT(replace(SMALL, depths=(1, 1), image_size=8)))
    model.stem.pool = nn.AvgPool2d(3, stride=2, padding=1)
    steps = [step for part in model.layers().values() for step in part.steps()]
    said = said_reads([*steps, *model.head.steps()], 8, 8)
    found = measured_reads(lambda x: (model(x),), noise(1, 3, 8, 8))
    assert torch.equal(found, said) and said.all()


@pytest.mark.parametrize("k", [0, 1, 2])
@SIZES
def test_a_layer_reads_everything_and_says_so(h, w, k):
    assert reads(layer_of(32, expansion=1), 32, h, w, k).all()


def test_its_feed_forward_reads_the_tokens_that_touch_and_the_class_token_itself():
    layer = layer_of(32, expansion=1)
    _, look_near = layer.steps()
    said = said_reads((look_near,), 3, 4, 1)

    def run(x, tokens):
        y = layer.feed_forward(layer.join(x, tokens), 3, 4)[:, 0]
        return y[:, :12].mT.unflatten(2, (3, 4)), y[:, 12:]

    assert torch.equal(measured_reads(run, noise(1, 32, 3, 4), noise(1, 1, 32)), said)
    assert said[5, :12].sum() == 9 and said[0].sum() == 4
    assert said[12].tolist() == [False] * 12 + [True]


def test_scores_make_the_weights_that_forward_uses():
    layer, x, token = layer_of(), noise(2, 64, 2, 3), noise(2, 1, 64, seed=2)
    scores, bias = layer.scores(x, token)
    assert scores.shape == (2, 2, 1, 7, 7) and not bias.any()
    y = layer.attention_norm(layer.join(x, token))
    value = layer.attention.value(y)[:, 0].unflatten(2, (2, 32))
    out = torch.einsum("bhqs,bshd->bqhd", (scores + bias).softmax(-1)[:, :, 0], value)
    assert same(layer.attention.output(out.flatten(2)), layer.attention(y)[:, 0])


@pytest.mark.parametrize("h, w, k", [(8, 8, 1), (4, 6, 0)])
def test_a_layer_costs_what_its_formula_says(h, w, k):
    layer, c = layer_of(), 64
    x, extra = noise(1, c, h, w), [noise(1, k, c)] if k else []
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer.run(x, *extra)
    t, inner = h * w + k, 2 * c
    attention = 4 * t * c**2 + 2 * t**2 * c
    feed_forward = h * w * (c * inner + 9 * inner + inner * c)
    assert counter.get_total_flops() // 2 == attention + feed_forward


def test_tokens_in_another_order_are_other_tokens_as_their_neighbors_changed():
    ours, plain, x = layer_of(), layer_of(kind=GlobalAttention), noise(1, 64, 4, 4)
    order = [3, 1, 2, 0]
    for part, follows in ((plain, True), (ours, False)):
        assert same(part(x[:, :, order])[0], part(x)[0][:, :, order]) == follows
    moved = ours(x.roll(1, 2))[0]
    assert not same(moved, ours(x)[0].roll(1, 2))  # padding says where the border is
    ours.feed_forward.depthwise.padding_mode = "circular"
    ours.feed_forward.depthwise._reversed_padding_repeated_twice = [1, 1, 1, 1]
    assert same(ours(x.roll(1, 2))[0], ours(x)[0].roll(1, 2))


def test_sizes_that_do_not_fit_are_refused_by_name():
    model = maxvit("ceit")
    told = "28 x 32 give stem .* not the 32 x 32 .* height 32 and width 32"
    with pytest.raises(ValueError, match=told):
        model(torch.zeros(1, 3, 28, 32))
    with pytest.raises(ValueError, match="patches of 4 pixels do not divide an image of 30"):
        maxvit("ceit", image_size=30)
    with pytest.raises(ValueError, match="a stride of 3 is odd, and the pool halves"):
        ImageToTokens(8, 3, image_size=9)
    with pytest.raises(ValueError, match="48 channels do not divide into heads of dimension 32"):
        LocallyEnhancedAttention(48)


def test_the_named_network_is_vit_with_other_parts():
    model = maxvit("ceit").eval()
    assert CONFIGS["ceit"] is CEIT and sum(p.numel() for p in model.parameters()) == 838_314
    assert replace(CEIT, stem=VIT.stem, parts=VIT.parts, dims=VIT.dims, depths=VIT.depths) == VIT
    assert model.features(torch.zeros(2, 3, 32, 32))[-1].shape == (2, 128, 8, 8)
    assert maxvit("ceit", image_size=48)(torch.zeros(1, 3, 48, 48)).shape == (1, 10)


def test_a_saved_network_comes_back(tmp_path):
    model, images = randomized(MaxViT(SMALL)).float(), noise(2, 3, 16, 16).float()
    save(model, tmp_path / "ceit")
    loaded = load(tmp_path / "ceit")
    assert loaded.config == SMALL and torch.equal(loaded(images), model(images))


def test_a_last_layer_with_a_convolution_would_have_nothing_to_learn_there():
    """The head reads the class token alone, which goes around it: so the last layer is ViT's."""
    for kind, learns in ((LocallyEnhancedAttention, False), (GlobalAttention, True)):
        model = MaxViT(replace(SMALL, parts=(CEIT.parts[0], (kind,))))
        F.cross_entropy(model(torch.randn(4, 3, 16, 16)), torch.arange(4)).backward()
        idle = [name for name, each in model.named_parameters() if not each.grad.any()]
        assert all("stages.1.0.parts.0.feed_forward." in name for name in idle)
        assert bool(idle) != learns


def test_a_dropped_branch_leaves_the_shortcut():
    layer = LocallyEnhancedAttention(32, drop_path=1 - 1e-6).train()
    x, extra = torch.randn(2, 32, 2, 2), torch.randn(2, 1, 32)
    assert all(map(torch.equal, layer.run(x, extra), (x, extra)))
