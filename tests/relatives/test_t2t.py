"""Tokens-to-token is its formula in a loop: the authors' code cannot be installed."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import measured_reads, noise, randomize, said_reads
from relatives.proofs import follows, multiply_adds, reads
from torch import nn

from minimaxvit import CONFIGS, MaxViT, load, maxvit, save
from minimaxvit.relatives import (
    T2T,
    VIT,
    SplitEmbedding,
    TokensToToken,
    TokensToTokenStem,
    sinusoids,
)

SIZES = pytest.mark.parametrize("h, w, stride", [(4, 4, 2), (3, 5, 2), (3, 4, 1), (6, 3, 2)])
SMALL = replace(T2T, dims=(32, 32, 32), depths=(1, 1, 1), stem_dim=8, num_classes=5, image_size=16)


def randomized(module):
    """`randomize` knows no bare token, which starts so small that none is missed."""
    randomize(module)
    for name, parameter in module.named_parameters():
        if name.split(".")[-1] == "class_token":
            nn.init.normal_(parameter)
    return module


def part_of(stride, in_dim=4, dim=6):
    return randomized(TokensToToken(in_dim, dim, stride))


def same(found, expected):
    return torch.allclose(found, expected, rtol=0, atol=1e-9)


def split_by_hand(x, stride):
    """Tokens row by row, each all numbers of a window channel by channel: (c, h, w) -> (t, 9c)."""
    c, h, w = x.shape
    tokens = []
    for row in range(0, h, stride):
        for column in range(0, w, stride):
            token = []
            for channel in range(c):
                for i in range(row - 1, row + 2):
                    for j in range(column - 1, column + 2):
                        inside = 0 <= i < h and 0 <= j < w
                        token.append(x[channel, i, j] if inside else x.new_zeros(()))
            tokens.append(torch.stack(token))
    return torch.stack(tokens)


def normed(token, norm):
    centered = token - token.mean()
    return centered / (centered.square().mean() + 1e-5).sqrt() * norm.weight + norm.bias


def looped(part, x):
    """One query after the other: (c, h, w) -> (t, c')."""
    tokens = [normed(token, part.attention_norm) for token in split_by_hand(x, part.stride)]
    query, key, value = (
        [layer.weight @ token for token in tokens] for layer in (part.query, part.key, part.value)
    )
    out = []
    for own, asked in zip(value, query, strict=True):
        weights = [(asked @ each / len(tokens[0]) ** 0.5).exp() for each in key]
        mean = sum(weight * each for weight, each in zip(weights, value, strict=True))
        y = own + part.output.weight @ (mean / sum(weights)) + part.output.bias
        ffn, z = part.feed_forward, normed(y, part.feed_forward_norm)
        z = F.gelu(ffn.expand.weight @ z + ffn.expand.bias)
        out.append(y + ffn.shrink.weight @ z + ffn.shrink.bias)
    return torch.stack(out)


@SIZES
def test_a_step_is_its_formula_in_a_loop(h, w, stride):
    part, x = part_of(stride), noise(2, 4, h, w)
    with torch.no_grad():
        found = part(x)
        assert found.shape == (2, 6, math.ceil(h / stride), math.ceil(w / stride))
        for ours, image in zip(found, x, strict=True):
            assert same(ours.flatten(1).T, looped(part, image))


@SIZES
def test_a_step_is_what_attention_of_pytorch_makes_of_unfolded_tokens(h, w, stride):
    part, x = part_of(stride), noise(2, 4, h, w)
    y = part.attention_norm(F.unfold(x, 3, padding=1, stride=stride).mT)
    query, key, value = part.query(y), part.key(y), part.value(y)
    mean = F.scaled_dot_product_attention(query, key, value, scale=(9 * 4) ** -0.5)
    y = value + part.output(mean)
    y = y + part.feed_forward(part.feed_forward_norm(y))
    assert same(part(x).flatten(2).mT, y)


@SIZES
def test_the_last_step_projects_adds_positions_and_begins_a_class_token(h, w, stride):
    part, images = randomized(SplitEmbedding(4, 6, stride)), noise(2, 4, h, w)
    x, class_token = part.run(images)
    assert class_token.shape == (2, 1, 6) and torch.equal(x, part(images))

    def position(number):
        rates = [number / 10000 ** (2 * (i // 2) / 6) for i in range(6)]
        turns = [(math.sin, math.cos)[i % 2](rate) for i, rate in enumerate(rates)]
        return torch.tensor(turns).to(x)

    for found, begun, image in zip(x, class_token, images, strict=True):
        tokens = split_by_hand(image, stride)
        known = [part.project(token) + position(i + 1) for i, token in enumerate(tokens)]
        torch.testing.assert_close(found.flatten(1).T, torch.stack(known), rtol=0, atol=1e-6)
        torch.testing.assert_close(begun[0], part.class_token[0, 0] + position(0))


def test_a_soft_split_that_is_projected_is_a_convolution():
    part, x = randomized(SplitEmbedding(4, 6, 2)), noise(2, 4, 6, 5)
    kernel = part.project.weight.unflatten(1, (4, 3, 3))
    convolved = F.conv2d(x, kernel, part.project.bias, 2, padding=1)
    positions = sinusoids(9 + 1, 6)[1:].T.view(6, 3, 3)
    assert same(part(x), convolved + positions)


def test_positions_tell_all_tokens_apart():
    found = sinusoids(65, 128)
    assert found.shape == (65, 128) and (torch.cdist(found, found) > 1).sum() == 65 * 64
    torch.testing.assert_close(found.square().sum(1), torch.full((65,), 64.0))


def test_32_x_32_pixels_make_256_tokens_of_27_numbers():
    stem = TokensToTokenStem(64, 2)
    tokens = stem.split(torch.zeros(1, 3, 32, 32))
    assert tokens.shape == (1, 27, 256) and stem(torch.zeros(1, 3, 32, 32)).shape == (1, 64, 16, 16)


def test_an_overlap_taken_for_the_stride_is_caught():
    """The paper's s is how far windows of k overlap: they are k - s apart."""
    kernel, overlap = 3, 1
    taken_for_stride = nn.Unfold(kernel, stride=overlap, padding=1)(torch.zeros(1, 3, 32, 32))
    assert taken_for_stride.shape == (1, 27, 1024)
    ours = TokensToTokenStem(64, kernel - overlap).split
    assert (ours.kernel_size, ours.stride, ours.padding) == (kernel, kernel - overlap, 1)
    starts = said_reads(TokensToTokenStem(8, 2).steps()[:1], 8, 8)[:, : 8 * 8].view(4, 4, 8, 8)
    shared = starts[1, 1] & starts[1, 2]
    assert shared.any(0).sum() == overlap and shared.sum() == kernel * overlap


class ScaledByTheWidthInside(TokensToToken):
    def compare(self, y):
        return super().compare(y) * (y.shape[2] / len(self.query.weight)) ** 0.5


class WithoutTheShortcut(TokensToToken):
    def attend(self, x):
        value, attended = super().attend(x)
        return torch.zeros_like(value), attended


class ShortcutBeforeTheNorm(TokensToToken):
    """The value of x, where the official code has that of LN(x)."""

    def attend(self, x):
        return self.value(self.split(x).mT), super().attend(x)[1]


class ChannelsLast(TokensToToken):
    """Tokens whose numbers stand place by place, as a partition would have them."""

    def attend(self, x):
        unfolded = self.split(x).unflatten(1, (-1, 9)).transpose(1, 2).flatten(1, 2)
        y = self.attention_norm(unfolded.mT)
        value = self.value(y)
        return value, self.output(self.compare(y).softmax(-1) @ value)


class ColumnByColumn(TokensToToken):
    """Reshaped with columns for rows."""

    def forward(self, x):
        return super().forward(x).mT


WRONG = (
    ScaledByTheWidthInside,
    WithoutTheShortcut,
    ShortcutBeforeTheNorm,
    ChannelsLast,
    ColumnByColumn,
)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_what_ports_get_wrong_is_caught(wrong):
    ours, x = part_of(2), noise(1, 4, 4, 4)
    planted = randomized(wrong(4, 6, 2))
    planted.load_state_dict(ours.state_dict())
    with torch.no_grad():
        expected = looped(ours, x[0]).T.view(1, 6, 2, 2)
        assert same(ours(x), expected)
        assert (planted(x) - expected).abs().max() > 1e-2


def test_scores_make_the_weights_that_forward_uses():
    part, x = part_of(2), noise(2, 4, 3, 6)
    scores, bias = part.scores(x)
    assert scores.shape == (2, 1, 1, 6, 6) and bias.shape == (1, 1, 6, 6) and not bias.any()
    value, attended = part.attend(x)
    weights = (scores + bias).softmax(-1)[:, 0, 0]
    assert same(part.output(weights @ value), attended)


@SIZES
def test_a_step_reads_everything_and_says_so(h, w, stride):
    part = part_of(stride)
    assert reads(part, 4, h, w).all()
    split, add = part.steps()
    assert () in add.branches  # the shortcut, which where all reads all does not show


def test_a_soft_split_reads_nine_tokens_or_what_is_there_of_them():
    part = part_of(2)
    found = measured_reads(lambda x: (part.split(x).unflatten(2, (3, 4)),), noise(1, 4, 6, 8))
    assert torch.equal(found, said_reads(part.steps()[:1], 6, 8))
    count = found.sum(1).view(3, 4)
    assert (count[1:, 1:] == 9).all() and (count[0, 1:] == 6).all() and count[0, 0] == 4


@pytest.mark.parametrize("h, w, stride", [(4, 6, 2), (3, 3, 1)])
def test_the_last_step_reads_what_it_says(h, w, stride):
    found = reads(randomized(SplitEmbedding(4, 6, stride)), 4, h, w)
    assert not found[-1].any() and len(found) == -(-h // stride) * -(-w // stride) + 1


def test_a_map_of_16_x_16_is_whole_after_one_step():
    part, x = part_of(1), noise(1, 4, 16, 16).requires_grad_()
    assert said_reads(part.steps(), 16, 16).all()
    (gradient,) = torch.autograd.grad(part(x)[0, :, 0, 0] @ noise(6), x)
    assert (gradient.abs() > 0).all()


@pytest.mark.parametrize("h, w, stride", [(8, 8, 2), (16, 16, 1), (4, 10, 2)])
def test_a_step_costs_what_its_formula_says(h, w, stride):
    t, wide, c = h * w // stride**2, 9 * 4, 6
    attention = 3 * t * wide * c + 2 * t**2 * c + t * c**2  # q, k, v; products of pairs; output
    assert multiply_adds(part_of(stride), 4, h, w) == attention + 2 * t * c**2
    embedding = randomized(SplitEmbedding(4, 6, stride))
    assert multiply_adds(embedding, 4, h, w) == t * wide * c


def test_what_moves_by_a_stride_inside_an_empty_map_is_followed_and_by_less_is_not():
    part, x = part_of(2), noise(1, 4, 10, 10)
    alone = torch.zeros_like(x)
    alone[:, :, 3:7, 3:7] = x[:, :, 3:7, 3:7]
    known = part(alone)
    assert same(part(alone.roll((2, -2), (2, 3))), known.roll((1, -1), (2, 3)))
    moved = part(alone.roll(1, 2))
    assert not any(same(moved, known.roll(each, 2)) for each in (0, 1))
    assert not follows(part_of(1), 4, 4, 6, 1, 0)  # where the map is full, its border tells


def test_the_stem_is_a_step_from_pixels():
    stem, step = TokensToTokenStem(6, 2), TokensToToken(3, 6, 2)
    step.load_state_dict(stem.state_dict())
    images = torch.randn(1, 3, 8, 8)
    assert torch.equal(stem(images), step(images)) and stem.stride == 2


def test_every_image_reaches_its_own_logits_and_no_others():
    model, images = randomized(MaxViT(SMALL)), noise(3, 3, 16, 16)
    together = model(images)
    assert same(together, torch.cat([model(each[None]) for each in images]))
    assert (together[0] - together[1]).abs().max() > 1e-3


def test_images_of_any_size_fit_as_positions_are_computed():
    model = maxvit("t2t").eval()
    assert model(torch.zeros(1, 3, 30, 50)).shape == (1, 10)
    with pytest.raises(ValueError, match="images of 0 x 32 give stem a map of 0 x 32"):
        model(torch.zeros(1, 3, 0, 32))


def test_the_named_network_has_its_size_and_as_many_tokens_as_vit():
    model = maxvit("t2t").eval()
    assert CONFIGS["t2t"] is T2T and sum(p.numel() for p in model.parameters()) == 1_012_608
    maps = [tuple(x.shape[1:]) for x in model.features(torch.zeros(2, 3, 32, 32))]
    assert maps == [(64, 8, 8), (128, 8, 8), (128, 8, 8)]
    same_as_vit = dict(parts=VIT.parts, dims=VIT.dims, depths=VIT.depths, strides=VIT.strides)
    stem = dict(stem=VIT.stem, stem_dim=VIT.stem_dim, stem_stride=VIT.stem_stride)
    assert replace(T2T, **same_as_vit, **stem) == VIT


def test_a_saved_network_comes_back(tmp_path):
    model, images = randomized(MaxViT(SMALL)).float(), noise(2, 3, 16, 16).float()
    save(model, tmp_path / "t2t")
    loaded = load(tmp_path / "t2t")
    assert loaded.config == SMALL and torch.equal(loaded(images), model(images))
