"""Swin's shifted windows and merging are torchvision's and timm's, and read what steps say."""

from dataclasses import replace

import pytest
import timm.models.swin_transformer as in_timm
import torch
import torch.nn.functional as F
import torchvision.models.swin_transformer as in_torchvision
from helpers import noise, randomize, said_reads
from relatives.proofs import follows, multiply_adds, reads
from torch import nn

from minimaxvit import CONFIGS, BlockAttention, MaxViT, load, maxvit, save
from minimaxvit.partition import block_partition, block_reverse
from minimaxvit.relatives import SWIN, PatchMerging, ShiftedWindowAttention

# Sides and window: square and not, an odd window, one window across, and one window in all.
MAPS = [(8, 8, 4), (4, 8, 2), (9, 6, 3), (14, 7, 7), (4, 12, 4), (4, 4, 4)]
ALL_MAPS = pytest.mark.parametrize("h, w, window", MAPS)
KINDS = pytest.mark.parametrize("kind", [BlockAttention, ShiftedWindowAttention])


def layer(window, kind=ShiftedWindowAttention, dim=64, expansion=2):
    return randomize(kind(dim, window, expansion, activation=F.gelu))


def map_of(h, w, dim=64):
    return noise(2, dim, h, w)


def by(theirs, x):
    """What a reference, which has channels last, makes of our map."""
    return theirs(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def reference_weights(ours, expand, shrink):
    """Our weights under both references' names; their table goes by query minus key."""
    found = {"attn.relative_position_bias_table": ours.attention.bias.table.flip(1, 2).flatten(1).T}
    for kind in ("weight", "bias"):
        projections = (ours.attention.query, ours.attention.key, ours.attention.value)
        found |= {
            f"norm1.{kind}": getattr(ours.attention_norm, kind),
            f"attn.qkv.{kind}": torch.cat([getattr(each, kind) for each in projections]),
            f"attn.proj.{kind}": getattr(ours.attention.output, kind),
            f"norm2.{kind}": getattr(ours.feed_forward_norm, kind),
            f"{expand}.{kind}": getattr(ours.feed_forward.expand, kind),
            f"{shrink}.{kind}": getattr(ours.feed_forward.shrink, kind),
        }
    return found


def torchvision_block(ours, window):
    shift = window // 2 if isinstance(ours, ShiftedWindowAttention) else 0
    theirs = in_torchvision.SwinTransformerBlock(64, 2, [window] * 2, [shift] * 2, mlp_ratio=2)
    weights = reference_weights(ours, "mlp.0", "mlp.3")
    left = theirs.double().eval().load_state_dict(weights, strict=False)
    assert left.missing_keys == ["attn.relative_position_index"] and not left.unexpected_keys
    return theirs


def timm_block(ours, h, w, window):
    shift = window // 2 if isinstance(ours, ShiftedWindowAttention) else 0
    sizes = {"window_size": window, "shift_size": shift, "mlp_ratio": 2}
    theirs = in_timm.SwinTransformerBlock(64, (h, w), num_heads=2, **sizes)
    theirs.double().eval().load_state_dict(reference_weights(ours, "mlp.fc1", "mlp.fc2"))
    return theirs


def written_out(ours, x, window):
    """A layer token by token, with neither roll nor mask: shifted borders cut the map itself."""
    h, w = x.shape[2:]
    shifted = isinstance(ours, ShiftedWindowAttention)
    down, right = (window // 2 if shifted and side > window else 0 for side in (h, w))
    table, attention = ours.attention.bias.table, ours.attention
    x = x.permute(0, 2, 3, 1)
    y = ours.attention_norm(x)
    query, key, value = (
        f(y).unflatten(3, (2, 32)) for f in (attention.query, attention.key, attention.value)
    )
    out = torch.zeros_like(value)
    for row, column in torch.cartesian_prod(torch.arange(h), torch.arange(w)).tolist():
        near = [
            (i, j)
            for i in range(h)
            for j in range(w)
            if (i - down) // window == (row - down) // window
            and (j - right) // window == (column - right) // window
        ]
        logits = [
            (query[:, row, column] * key[:, i, j]).sum(-1) / 32**0.5
            + table[:, i - row + window - 1, j - column + window - 1]
            for i, j in near
        ]
        weights = torch.stack(logits).softmax(0)  # (keys, b, heads)
        for weight, (i, j) in zip(weights, near, strict=True):
            out[:, row, column] += weight[..., None] * value[:, i, j]
    x = x + attention.output(out.flatten(3))
    ffn = ours.feed_forward
    x = x + ffn.shrink(F.gelu(ffn.expand(ours.feed_forward_norm(x))))
    return x.permute(0, 3, 1, 2)


def same(found, expected):
    return torch.allclose(found, expected, rtol=0, atol=1e-9)


@KINDS
@ALL_MAPS
def test_a_layer_is_that_of_torchvision(kind, h, w, window):
    ours, x = layer(window, kind), map_of(h, w)
    assert same(ours(x), by(torchvision_block(ours, window), x))


@KINDS
@ALL_MAPS
def test_a_layer_is_that_of_timm(kind, h, w, window):
    ours, x = layer(window, kind), map_of(h, w)
    assert same(ours(x), by(timm_block(ours, h, w, window), x))


@KINDS
@ALL_MAPS
def test_a_layer_is_its_loop_over_tokens(kind, h, w, window):
    ours, x = layer(window, kind), map_of(h, w)
    with torch.no_grad():
        assert same(ours(x), written_out(ours, x, window))


def test_a_side_of_one_window_is_not_shifted():
    shifted, x = layer(4), map_of(4, 4)
    plain = layer(4, BlockAttention)
    plain.load_state_dict(shifted.state_dict())
    assert same(shifted(x), plain(x)) and not same(shifted(map_of(8, 8)), plain(map_of(8, 8)))
    wide = map_of(4, 12)  # shifted along its columns alone: tokens 2 to 5 form a window
    assert same(shifted(wide)[..., 2:6], plain(wide[..., 2:6]))


@ALL_MAPS
def test_scores_and_bias_are_the_weights_that_forward_uses(h, w, window):
    ours, x = layer(window), map_of(h, w)
    scores, bias = ours.scores(x)
    assert scores.shape == (2, 2, h * w, 1, window**2) and bias.shape == (2, h * w, 1, window**2)
    numbers = torch.arange(h * w).view(1, h, w, 1)
    queries, keys = ours.groups(numbers, torch.arange(0))
    assert torch.equal(bias == -torch.inf, (keys < 0)[None, :, None].expand_as(bias))
    y = ours.attention_norm(x.permute(0, 2, 3, 1)).flatten(1, 2)
    values = ours.attention.value(y)[:, keys.clamp(0)].unflatten(3, (2, 32))  # (b, n, s, heads, d)
    out = torch.einsum("bhnts,bnshd->bnthd", (scores + bias).softmax(-1), values).flatten(2)
    out = ours.attention.output(out)[:, queries.flatten().argsort()]
    assert same(out.view(2, h, w, 64), ours.attend(ours.attention_norm(x.permute(0, 2, 3, 1))))


class WithoutMask(ShiftedWindowAttention):
    def masked_bias(self, x):
        return self.attention.bias()[:, None]


class MaskedByRowsAlone(ShiftedWindowAttention):
    def parted(self, x):
        rows = torch.arange(x.shape[1])[None, :, None, None].expand(1, *x.shape[1:3], 1)
        region = self.partition(rows < self.shifts(*x.shape[1:3])[0], self.window)[0]
        return region != region.mT


class NotRolledBack(ShiftedWindowAttention):
    reverse = staticmethod(block_reverse)


class AlwaysShifted(ShiftedWindowAttention):
    def shifts(self, *sides):
        return [self.window // 2] * 2


class QueryMinusKey(ShiftedWindowAttention):
    def masked_bias(self, x):
        return self.attention.bias().mT[:, None].masked_fill(self.parted(x), -torch.inf)


WRONG = {
    WithoutMask: (8, 8),
    MaskedByRowsAlone: (8, 8),
    NotRolledBack: (8, 8),
    AlwaysShifted: (4, 4),
    QueryMinusKey: (8, 8),
}


@pytest.mark.parametrize("wrong, sides", WRONG.items(), ids=[kind.__name__ for kind in WRONG])
def test_what_ports_get_wrong_is_caught(wrong, sides):
    ours, planted, x = layer(4), layer(4, wrong), map_of(*sides)
    theirs = by(torchvision_block(ours, 4), x)
    assert same(ours(x), theirs)
    assert (planted(x) - theirs).abs().max() > 1e-2


def count_keys(part, h, w):
    return said_reads(part.steps(), h, w).sum(1).long().view(h, w)


@KINDS
@pytest.mark.parametrize("h, w, window", [(4, 6, 2), (6, 6, 3), (4, 4, 4), (2, 6, 2)])
def test_a_layer_reads_what_its_steps_say(kind, h, w, window):
    reads(layer(window, kind, dim=32, expansion=1), 32, h, w)


def test_a_shifted_window_is_smaller_at_the_edges_and_smallest_in_a_corner():
    count = count_keys(layer(4), 16, 16)
    assert (count_keys(layer(4, BlockAttention), 16, 16) == 16).all()
    assert (count[2:-2, 2:-2] == 16).all()
    assert (count[:2, 2:-2] == 8).all() and (count[2:-2, -2:] == 8).all()
    assert (count[:2, :2] == 4).all() and (count[-2:, :2] == 4).all()


def test_seven_layers_and_no_fewer_make_a_map_of_16_by_16_whole():
    kinds = [BlockAttention, ShiftedWindowAttention] * 4
    layers = [layer(4, kind, dim=32, expansion=1) for kind in kinds[:7]]
    steps = [step for each in layers for step in each.steps()]
    assert not said_reads(steps[:6], 16, 16).all() and said_reads(steps, 16, 16).all()
    corner = noise(1, 32, 16, 16).requires_grad_()
    for depth in (6, 7):
        last = nn.Sequential(*layers[:depth])(corner)[0, :, 0, 0]
        (gradient,) = torch.autograd.grad(last @ noise(32), corner)
        seen = (gradient[0].abs() > 0).any(0).flatten()
        assert torch.equal(seen, said_reads(steps[:depth], 16, 16)[0])
        assert seen.all() == (depth == 7)


@KINDS
@pytest.mark.parametrize("h, w, millions", [(8, 8, 1.18), (16, 16, 4.72), (32, 32, 18.9)])
def test_multiply_adds_grow_with_the_tokens_alone(kind, h, w, millions):
    tokens, c, t = h * w, 64, 4**2
    attention = 4 * tokens * c**2 + 2 * tokens * t * c  # four projections, two products of pairs
    feed_forward = 2 * 2 * tokens * c**2  # twice as wide inside
    assert multiply_adds(layer(4, kind), c, h, w) == attention + feed_forward
    assert attention / 1e6 == pytest.approx(millions, rel=5e-3)


def test_windows_follow_shifts_by_windows_and_masked_ones_none():
    plain, shifted, unmasked = (
        layer(4, kind) for kind in (BlockAttention, ShiftedWindowAttention, WithoutMask)
    )
    assert follows(plain, 64, 8, 12, 4, 0) and follows(plain, 64, 8, 12, 4, 8)
    assert not follows(plain, 64, 8, 12, 1, 0)
    for down, right in ((4, 0), (0, 4), (2, 0), (1, 0)):
        assert not follows(shifted, 64, 8, 12, down, right)  # the mask stays where the edges are
    assert follows(unmasked, 64, 8, 12, 4, 4) and not follows(unmasked, 64, 8, 12, 0, 1)


def merging_weights(merging):
    return {"reduction.weight": merging.reduce.weight} | {
        f"norm.{kind}": getattr(merging.norm, kind) for kind in ("weight", "bias")
    }


@pytest.mark.parametrize("h, w", [(4, 4), (6, 8)])
def test_merging_is_that_of_torchvision_and_of_timm(h, w):
    ours, x = randomize(PatchMerging(6, 12, 2)), noise(2, 6, h, w)
    for theirs in (in_torchvision.PatchMerging(6), in_timm.PatchMerging(6)):
        theirs.double().eval().load_state_dict(merging_weights(ours))
        assert same(ours(x), by(theirs, x))


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_merging_is_its_loop_over_tokens(stride):
    ours, x = randomize(PatchMerging(4, 5, stride)), noise(2, 4, 6, 12)
    out = ours(x)
    assert out.shape == (2, 5, 6 // stride, 12 // stride)
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            row, column = stride * i, stride * j
            four = [
                x[:, :, row + down, column + right]
                for right in range(stride)
                for down in range(stride)
            ]
            y = torch.cat(four, 1)
            y = (y - y.mean(1, keepdim=True)) / (y.var(1, False, keepdim=True) + 1e-5).sqrt()
            y = y * ours.norm.weight + ours.norm.bias
            assert same(out[:, :, i, j], y @ ours.reduce.weight.T)


def row_by_row(ours, x):
    """Merge with the channels in the order of rows, which is not that of published weights."""
    blocks = block_partition(x.permute(0, 2, 3, 1), 2).flatten(2)
    merged = ours.reduce(ours.norm(blocks))
    return merged.mT.unflatten(2, (x.shape[2] // 2, -1))


def norm_last(ours, x):
    """Swin V2 projects first. Its norm is over the projected channels."""
    y = x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))  # (b, c, h, r, w, s)
    y = ours.reduce(y.permute(0, 2, 4, 5, 3, 1).flatten(3))
    return F.layer_norm(y, y.shape[3:]).permute(0, 3, 1, 2)


@pytest.mark.parametrize("wrong", [row_by_row, norm_last])
def test_merging_in_another_order_is_caught(wrong):
    ours, x = randomize(PatchMerging(6, 12, 2)), noise(2, 6, 4, 8)
    assert wrong(ours, x).shape == ours(x).shape
    assert (wrong(ours, x) - ours(x)).abs().max() > 1e-2


@pytest.mark.parametrize("h, w", [(4, 4), (2, 6)])
def test_merging_reads_two_by_two_and_costs_one_projection(h, w):
    merging = randomize(PatchMerging(8, 16, 2))
    found = reads(merging, 8, h, w)
    assert len(found) == h * w // 4 and (found.sum(1) == 4).all()
    assert multiply_adds(merging, 8, h, w) == h * w // 4 * (4 * 8) * 16


def test_bad_sizes_are_refused_by_name():
    model = maxvit("swin")
    with pytest.raises(ValueError, match="1.1 BlockAttention a map of 17 x 16 .* divisible by 4"):
        model(torch.zeros(1, 3, 34, 32))
    with pytest.raises(ValueError, match="2.1 BlockAttention a map of 10 x 8 .* height 32"):
        model(torch.zeros(1, 3, 40, 32))
    alone = MaxViT(replace(SWIN, parts=3 * ((ShiftedWindowAttention,),)))
    with pytest.raises(ValueError, match="1.1 ShiftedWindowAttention a map of 17 x 16"):
        alone(torch.zeros(1, 3, 34, 32))
    odd = MaxViT(replace(SWIN, window=1))
    with pytest.raises(ValueError, match="2.1 PatchMerging a map of 17 x 16 .* divisible by 2"):
        odd(torch.zeros(1, 3, 34, 32))
    for part, sides in ((ShiftedWindowAttention(32, 4), (6, 8)), (PatchMerging(32, 64, 2), (3, 4))):
        with pytest.raises(ValueError, match=f"{sides[0]} x {sides[1]} tokens is not divisible"):
            part(torch.zeros(1, 32, *sides))
    with pytest.raises(ValueError, match="48 channels do not divide into heads"):
        ShiftedWindowAttention(48, 4)
    assert model(torch.zeros(1, 3, 32, 64)).shape == (1, 10)


def test_the_named_network_is_compact_with_swins_parts():
    model = maxvit("swin").eval()
    assert CONFIGS["swin"] is SWIN and sum(p.numel() for p in model.parameters()) == 898_302
    compact = CONFIGS["compact"]
    assert replace(SWIN, parts=compact.parts, downsample=compact.downsample) == compact
    maps = [tuple(x.shape[1:]) for x in model.features(torch.zeros(2, 3, 32, 32))]
    assert maps == [(32, 16, 16), (96, 8, 8), (192, 4, 4)]
    kinds = [name.split()[1] for name in list(model.layers())[1:]]
    pair = ["BlockAttention", "ShiftedWindowAttention"]
    assert kinds == [*pair, "PatchMerging", *pair, "PatchMerging", *pair]
    assert maxvit("swin", image_size=64).stages[0][0].parts[1].window == 8


def test_a_saved_network_comes_back(tmp_path):
    config = replace(
        SWIN, dims=(32, 64), depths=(1, 2), strides=(1, 2), window=2, parts=SWIN.parts[1:]
    )
    model, images = randomize(MaxViT(config)).float(), noise(2, 3, 16, 16).float()
    save(model, tmp_path / "swin")
    loaded = load(tmp_path / "swin")
    assert loaded.config == config and torch.equal(loaded(images), model(images))


def test_the_table_learns_through_the_mask_and_no_gradient_is_lost():
    torch.manual_seed(0)
    ours = ShiftedWindowAttention(32, 4)
    ours(torch.randn(2, 32, 8, 8)).square().sum().backward()
    for name, parameter in ours.named_parameters():
        assert parameter.grad.isfinite().all(), name
    assert (ours.attention.bias.table.grad != 0).all()


def test_a_dropped_branch_leaves_the_shortcut():
    ours = ShiftedWindowAttention(32, 2, drop_path=1 - 1e-6).train()
    x = torch.randn(2, 32, 4, 4)
    assert torch.equal(ours(x), x)
