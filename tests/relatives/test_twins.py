"""Twins is timm's, layer for layer, where the bias of block attention is zero."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from helpers import noise, randomize, said_reads
from relatives.proofs import follows, multiply_adds, reads
from timm.models.twins import Block, PosConv
from torch import nn

from minimaxvit import (
    CONFIGS,
    BlockAttention,
    GridAttention,
    MaxViT,
    MaxViTBlock,
    load,
    maxvit,
    save,
)
from minimaxvit.relatives import TWINS, ConditionalPositions, SpatialReductionAttention

PAIR = TWINS.parts[0]
KV = ("key", "value")


def pair_of(window, dim=64, parts=PAIR):
    """The parts of a block of Twins, without the bias that theirs has not."""
    block = MaxViTBlock(dim, dim, parts=parts, window=window, expansion=2, activation=F.gelu)
    for part in randomize(block).modules():
        if isinstance(part, BlockAttention | GridAttention):
            nn.init.zeros_(part.attention.bias.table)
    return block


def timm_layer(ours, window):
    """Their layer with our weights: local for block attention, else over summaries."""
    local = isinstance(ours, BlockAttention)
    kinds = {"ws": window if local else 1, "sr_ratio": 1 if local else window}
    theirs = Block(64, num_heads=2, mlp_ratio=2, norm_layer=nn.LayerNorm, **kinds)
    attention, state = ours.attention, {}
    packed = {"qkv": ("query", "key", "value")} if local else {"q": ("query",), "kv": KV}
    for kind in ("weight", "bias"):
        for name, parts in packed.items():
            tensors = [getattr(getattr(attention, part), kind) for part in parts]
            state[f"attn.{name}.{kind}"] = torch.cat(tensors)
        if not local:
            state[f"attn.sr.{kind}"] = getattr(attention.reduce, kind)
            state[f"attn.norm.{kind}"] = getattr(attention.reduce_norm, kind)
        state[f"attn.proj.{kind}"] = getattr(attention.output, kind)
        state[f"norm1.{kind}"] = getattr(ours.attention_norm, kind)
        state[f"norm2.{kind}"] = getattr(ours.feed_forward_norm, kind)
        state[f"mlp.fc1.{kind}"] = getattr(ours.feed_forward.expand, kind)
        state[f"mlp.fc2.{kind}"] = getattr(ours.feed_forward.shrink, kind)
    theirs.double().eval().load_state_dict(state)
    return theirs


def timm_pair(block, window, x):
    """Local layer, position encoding, global layer, as a stage of theirs begins."""
    size, (near, positions, far) = x.shape[2:], block.parts
    encoding = PosConv(64, 64).double()
    encoding.proj[0].load_state_dict(positions.depthwise.state_dict())
    tokens = timm_layer(near, window)(x.flatten(2).mT, size)
    tokens = timm_layer(far, window)(encoding(tokens, size), size)
    return tokens.mT.unflatten(2, size)


@pytest.mark.parametrize("window, h, w", [(2, 4, 4), (2, 4, 6), (3, 6, 3)])
def test_the_block_is_that_of_timm(window, h, w):
    block, x = pair_of(window), noise(2, 64, h, w)
    torch.testing.assert_close(block(x), timm_pair(block, window, x), rtol=0, atol=1e-9)


def loop(layer, x, window):
    """Write out a layer, query by query: keys are its block, or the summaries of all blocks."""
    y, out, attention = layer.attention_norm(x), torch.zeros_like(x), layer.attention
    for row, column in torch.cartesian_prod(*map(torch.arange, x.shape[:2])):  # (h, w, c)
        top, left = row // window * window, column // window * window
        read = y[top : top + window, left : left + window].flatten(0, 1)
        if isinstance(layer, SpatialReductionAttention):
            rows = y.unfold(0, window, window).unfold(1, window, window)  # (h', w', c, p, p)
            summary = torch.einsum("hwcij,ocij->hwo", rows, attention.reduce.weight).flatten(0, 1)
            read = attention.reduce_norm(summary + attention.reduce.bias)
        query, gathered = attention.query(y[row, column]), []
        key, value = attention.key(read), attention.value(read)
        for d in (slice(0, 32), slice(32, 64)):
            gathered.append((key[:, d] @ query[d] / 32**0.5).softmax(0) @ value[:, d])
        out[row, column] = attention.output(torch.cat(gathered))
    x = x + out
    hidden = F.gelu(layer.feed_forward.expand(layer.feed_forward_norm(x)))
    return x + layer.feed_forward.shrink(hidden)


def test_the_block_is_a_loop():
    block, x = pair_of(2), noise(1, 64, 4, 6)
    near, positions, far = block.parts
    y = loop(near, x[0].permute(1, 2, 0), 2).permute(2, 0, 1)[None]
    y = y + F.conv2d(y, positions.depthwise.weight, positions.depthwise.bias, padding=1, groups=64)
    y = loop(far, y[0].permute(1, 2, 0), 2).permute(2, 0, 1)[None]
    torch.testing.assert_close(block(x), y, rtol=0, atol=1e-9)


def of_parts(*parts):
    """A wrong block, which has the weights of the right one wherever it has the same parts."""

    def build(block):
        wrong = pair_of(2, parts=parts)
        for kind in PAIR:
            (right,) = (part for part in block.parts if type(part) is kind)
            for part in wrong.parts:
                if type(part) is kind:
                    part.load_state_dict(right.state_dict())
        return wrong

    return build


def with_bias(block):
    nn.init.normal_(block.parts[0].attention.bias.table)
    return block


def without_shortcut(block):
    """The position encoding takes the place of the token in place of being added."""
    block.parts[1].forward = block.parts[1].depthwise.forward
    return block


WRONG = {
    "far before near": of_parts(*PAIR[::-1]),
    "positions first": of_parts(ConditionalPositions, BlockAttention, SpatialReductionAttention),
    "positions last": of_parts(BlockAttention, SpatialReductionAttention, ConditionalPositions),
    "no positions": of_parts(BlockAttention, SpatialReductionAttention),
    "the grid of MaxViT": of_parts(BlockAttention, ConditionalPositions, GridAttention),
    "block attention's bias": with_bias,
    "an encoding that is not added": without_shortcut,
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_block_is_told_from_that_of_timm(wrong):
    block, x = pair_of(2), noise(2, 64, 4, 6)
    expected = timm_pair(block, 2, x)
    assert (wrong(block)(x) - expected).abs().max() > 1e-2


@pytest.mark.parametrize("h, w", [(4, 4), (4, 6)])
def test_near_reads_a_block_and_far_reads_all(h, w):
    near, _, far = pair_of(2, dim=32).parts
    block = torch.kron(torch.eye(h // 2), torch.ones(2, 2))
    across = torch.kron(torch.eye(w // 2), torch.ones(2, 2))
    assert torch.equal(reads(near, 32, h, w), torch.kron(block, across).bool())
    assert reads(far, 32, h, w).all()


def test_a_map_of_16_x_16_is_whole_in_two_layers_and_never_by_blocks_alone():
    near, positions, far = pair_of(4).parts
    alone = said_reads(5 * near.steps(), 16, 16)
    assert (alone.sum(1) == 16).all() and not alone.all()
    assert said_reads((*near.steps(), *far.steps()), 16, 16).all()
    assert not said_reads((*near.steps(), *positions.steps()), 16, 16).all()


@pytest.mark.parametrize("h, w, millions", [(8, 8, 1.18), (16, 16, 4.72), (32, 32, 18.9)])
def test_attention_costs_what_its_formulas_say(h, w, millions):
    (near, _, far), n, c = pair_of(4).parts, h * w, 64
    costs = [
        multiply_adds(lambda x, part=part: part.attend(x.permute(0, 2, 3, 1)), c, h, w)
        for part in (near, far)
    ]
    assert costs[0] == 4 * n * c**2 + 2 * n * 16 * c == pytest.approx(millions * 1e6, rel=5e-3)
    s = n // 16
    assert costs[1] == 3 * n * c**2 + 2 * s * c**2 + 2 * n * s * c


def test_a_block_costs_the_sum_of_its_parts():
    n, s, c = 4 * 6, 6, 64
    near, far = 4 * n * c**2 + 2 * n * 4 * c, 3 * n * c**2 + 2 * s * c**2 + 2 * n * s * c
    feed_forward, positions = 2 * 2 * n * c**2, 9 * n * c  # expansion 2
    assert multiply_adds(pair_of(2), c, 4, 6) == near + far + 2 * feed_forward + positions


def test_without_positions_shifts_by_a_window_are_followed_and_others_are_not():
    shift = partial(follows, pair_of(2, parts=(PAIR[0], PAIR[2])), 64, 4, 6)
    assert shift(2, 0) and shift(0, 4) and not shift(1, 0) and not shift(0, 1)
    assert not follows(pair_of(2), 64, 4, 6, 2, 0)  # positions are what is there to be known


def test_maps_that_windows_do_not_divide_are_refused_by_name():
    model = maxvit("twins")
    told = "36 x 32 give 1.1 BlockAttention a map of 18 x 16 tokens, .* not divisible by 4"
    with pytest.raises(ValueError, match=told):
        model(torch.zeros(1, 3, 36, 32))
    assert model(torch.zeros(1, 3, 32, 64)).shape == (1, 10)


def test_the_named_network_has_its_size_and_differs_from_compact_in_its_parts_alone():
    model = maxvit("twins").eval()
    assert CONFIGS["twins"] is TWINS and sum(p.numel() for p in model.parameters()) == 1_000_282
    others = [vars(CONFIGS[name]) | {"parts": None} for name in ("twins", "compact")]
    assert others[0] == others[1]
    maps = [tuple(x.shape[1:]) for x in model.features(torch.zeros(2, 3, 32, 32))]
    assert maps == [(32, 16, 16), (96, 8, 8), (192, 4, 4)]


def test_a_saved_network_comes_back(tmp_path):
    model, images = randomize(MaxViT(TWINS)).float(), noise(2, 3, 32, 32).float()
    save(model, tmp_path / "twins")
    loaded = load(tmp_path / "twins")
    assert loaded.config == TWINS and torch.equal(loaded(images), model(images))
