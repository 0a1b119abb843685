"""Windows over frames are torchvision's, weight for weight, and those of Swin where P is 1."""

import pytest
import torch
import torch.nn.functional as F
from helpers import measured_reads, noise, randomize
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.swin_transformer import SwinTransformerBlock
from torchvision.models.video.swin_transformer import ShiftedWindowAttention3d

from minimaxvit import BlockAttention
from minimaxvit.relatives import (
    ShiftedVideoWindowAttention,
    ShiftedWindowAttention,
    VideoWindowAttention,
    video_partition,
    video_reverse,
)
from minimaxvit.seeing import photograph

# Sides of the clip, window: several windows each way, one window on some axes, odd sides, P = 1.
CLIPS = [
    ((4, 8, 8), (2, 4, 4)),
    ((2, 4, 6), (2, 2, 2)),
    ((6, 3, 6), (3, 3, 3)),
    ((2, 4, 4), (2, 4, 4)),
    ((3, 4, 4), (1, 2, 2)),
]
ALL_CLIPS = pytest.mark.parametrize("sides, window", CLIPS)
KINDS = pytest.mark.parametrize("kind", [VideoWindowAttention, ShiftedVideoWindowAttention])


def layer_of(window, kind=ShiftedVideoWindowAttention, dim=64):
    layer = randomize(kind(dim, window, expansion=2))
    nn.init.normal_(layer.table)  # `randomize` knows no bare tables
    return layer


def same(found, expected):
    return torch.allclose(found, expected, rtol=0, atol=1e-9)


def moving_crop(frames, h, w, step=(2, 3)):
    """A clip of a photograph as a window moves over it: (1, 3, f, h, w), about N(0, 1)."""
    image = torch.from_numpy(photograph().copy()).permute(2, 0, 1).double()
    image = F.avg_pool2d(image, 4)  # (3, 120, 120)
    image = (image - image.mean()) / image.std()
    crops = [
        image[:, 30 + step[0] * f : 30 + step[0] * f + h, 30 + step[1] * f : 30 + step[1] * f + w]
        for f in range(frames)
    ]
    return torch.stack(crops, 1)[None]


def clip_of(*sides, dim=64):
    """A moving crop whose colors are mixed to as many channels as a layer has."""
    return torch.einsum("bcfhw,ec->befhw", moving_crop(*sides), noise(dim, 3))


def torchvision_block(ours):
    shifted = isinstance(ours, ShiftedVideoWindowAttention)
    shift = [size // 2 if shifted else 0 for size in ours.window]
    theirs = SwinTransformerBlock(
        64, 2, list(ours.window), shift, mlp_ratio=2, attn_layer=ShiftedWindowAttention3d
    )
    table = ours.table.flip(1, 2, 3).flatten(1).T  # theirs goes by query minus key
    weights = {"attn.relative_position_bias_table": table}
    for kind in ("weight", "bias"):
        projections = (ours.attention.query, ours.attention.key, ours.attention.value)
        weights |= {
            f"norm1.{kind}": getattr(ours.attention_norm, kind),
            f"attn.qkv.{kind}": torch.cat([getattr(each, kind) for each in projections]),
            f"attn.proj.{kind}": getattr(ours.attention.output, kind),
            f"norm2.{kind}": getattr(ours.feed_forward_norm, kind),
            f"mlp.0.{kind}": getattr(ours.feed_forward.expand, kind),
            f"mlp.3.{kind}": getattr(ours.feed_forward.shrink, kind),
        }
    left = theirs.double().eval().load_state_dict(weights, strict=False)
    assert left.missing_keys == ["attn.relative_position_index"] and not left.unexpected_keys
    return theirs


def by_torchvision(ours, x):
    return torchvision_block(ours)(x.permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)


def written_out(ours, x):
    """A layer token by token, with neither roll nor mask: shifted borders cut the clip itself."""
    sides = x.shape[2:]
    shifted = isinstance(ours, ShiftedVideoWindowAttention)
    pairs = list(zip(sides, ours.window, strict=True))
    shifts = [size // 2 if shifted and side > size else 0 for side, size in pairs]
    places = torch.cartesian_prod(*map(torch.arange, sides)).tolist()

    def window_of(place):
        each = zip(place, shifts, ours.window, strict=True)
        return [(at - shift) // size for at, shift, size in each]

    attention, y = ours.attention, x.flatten(2).mT  # (b, t, c)
    z = ours.attention_norm(y)
    query, key, value = (
        f(z).unflatten(2, (2, 32)) for f in (attention.query, attention.key, attention.value)
    )
    out = torch.zeros_like(value)
    for number, place in enumerate(places):
        near = [i for i, other in enumerate(places) if window_of(other) == window_of(place)]
        logits = []
        for i in near:
            offset = [
                to - at + size - 1
                for to, at, size in zip(places[i], place, ours.window, strict=True)
            ]
            score = (query[:, number] * key[:, i]).sum(-1) / 32**0.5  # (b, heads)
            logits.append(score + ours.table[:, *offset])
        weights = torch.stack(logits).softmax(0)
        for weight, i in zip(weights, near, strict=True):
            out[:, number] += weight[..., None] * value[:, i]
    y = y + attention.output(out.flatten(2))
    ffn = ours.feed_forward
    y = y + ffn.shrink(F.gelu(ffn.expand(ours.feed_forward_norm(y))))
    return y.mT.unflatten(2, sides)


@KINDS
@ALL_CLIPS
def test_a_layer_is_that_of_torchvision(kind, sides, window):
    ours, x = layer_of(window, kind), noise(2, 64, *sides)
    assert same(ours(x), by_torchvision(ours, x))


@KINDS
@pytest.mark.parametrize("sides, window", CLIPS[1:])
def test_a_layer_is_its_loop_over_tokens(kind, sides, window):
    ours, x = layer_of(window, kind), noise(1, 64, *sides)
    with torch.no_grad():
        assert same(ours(x), written_out(ours, x))


@KINDS
def test_on_a_moving_crop_of_a_photograph_it_is_that_of_torchvision_too(kind):
    ours, x = layer_of((2, 4, 4), kind), clip_of(4, 8, 12)
    assert x.shape == (1, 64, 4, 8, 12)
    assert same(x[:, :, 1, :-2, :-3], x[:, :, 0, 2:, 3:]), "the crop moves"
    assert same(ours(x), by_torchvision(ours, x))


def test_a_window_of_one_frame_is_swin_frame_by_frame():
    """Which cannot tell a clip from its frames in another order, as any other can."""
    pairs = ((VideoWindowAttention, BlockAttention),)
    pairs += ((ShiftedVideoWindowAttention, ShiftedWindowAttention),)
    clip = clip_of(4, 8, 8)
    for kind, in_two in pairs:
        ours, theirs = layer_of((1, 4, 4), kind), in_two(64, 4, 2, activation=F.gelu).double()
        state = ours.state_dict()
        state["attention.bias.table"] = state.pop("table")[:, 0]
        theirs.load_state_dict(state)
        expected = torch.stack([theirs(frame) for frame in clip.unbind(2)], 2)
        assert same(ours(clip), expected)
        assert same(ours(clip.flip(2)), ours(clip).flip(2))
        wide = layer_of((2, 4, 4), kind)
        assert not same(wide(clip.flip(2)), wide(clip).flip(2))


def test_an_axis_of_one_window_is_not_shifted():
    shifted, x = layer_of((2, 4, 4)), clip_of(2, 4, 4)
    plain = layer_of((2, 4, 4), VideoWindowAttention)
    plain.load_state_dict(shifted.state_dict())
    assert same(shifted(x), plain(x)) and not same(
        shifted(clip_of(4, 8, 8)), plain(clip_of(4, 8, 8))
    )
    long = clip_of(6, 4, 4)  # shifted along its frames alone: 1 and 2 form a window
    assert same(shifted(long)[:, :, 1:3], plain(long[:, :, 1:3]))


@ALL_CLIPS
def test_windows_are_pasted_back_where_they_were_cut(sides, window):
    x = noise(2, *sides, 3)
    groups = video_partition(x, window)
    p, m, q = window
    assert torch.equal(video_reverse(groups, window, *sides), x)
    assert torch.equal(groups[:, 0], x[:, :p, :m, :q].flatten(1, 3))
    assert torch.equal(groups[:, -1], x[:, -p:, -m:, -q:].flatten(1, 3))


class WithoutMask(ShiftedVideoWindowAttention):
    def parted(self, sides, device):
        return torch.zeros(1, 1, 1, dtype=torch.bool)


class MaskedInSpaceAlone(ShiftedVideoWindowAttention):
    """Swin's mask, one for all frames: the last frames meet the first ones."""

    def parted(self, sides, device):
        rows, columns = (torch.arange(side) < 2 for side in sides[1:])
        region = (2 * rows[:, None] + columns).expand(1, sides[0], -1, -1)[..., None]
        region = self.partition(region)[0]
        return region != region.mT


class ShiftedInSpaceAlone(ShiftedVideoWindowAttention):
    def shifts(self, sides):
        return [0, *super().shifts(sides)[1:]]


class AlwaysShifted(ShiftedVideoWindowAttention):
    def shifts(self, sides):
        return [size // 2 for size in self.window]


class QueryMinusKey(ShiftedVideoWindowAttention):
    def position_bias(self):
        return super().position_bias().mT


class BiasInSpaceAlone(ShiftedVideoWindowAttention):
    """Swin's table for every frame."""

    def position_bias(self):
        table, whole = self.table, self.table[:, 1:2].expand_as(self.table)
        self.table = nn.Parameter(whole)
        found = super().position_bias()
        self.table = table
        return found


class FramesLast(ShiftedVideoWindowAttention):
    """A table whose frames vary fastest, though tokens have them slowest."""

    def position_bias(self):
        bias, (p, m, q) = super().position_bias(), self.window
        order = torch.arange(p * m * q).view(p, m, q).permute(1, 2, 0).flatten()
        return bias[:, order][:, :, order]


WRONG = {
    WithoutMask: (4, 8, 8),
    MaskedInSpaceAlone: (4, 8, 8),
    ShiftedInSpaceAlone: (4, 8, 8),
    AlwaysShifted: (2, 4, 4),
    QueryMinusKey: (4, 8, 8),
    BiasInSpaceAlone: (4, 8, 8),
    FramesLast: (4, 8, 8),
}


@pytest.mark.parametrize("wrong, sides", WRONG.items(), ids=[kind.__name__ for kind in WRONG])
def test_what_ports_get_wrong_is_caught(wrong, sides):
    ours, planted, x = layer_of((2, 4, 4)), layer_of((2, 4, 4), wrong), clip_of(*sides)
    theirs = by_torchvision(ours, x)
    assert same(ours(x), theirs)
    assert (planted(x) - theirs).abs().max() > 1e-2


def read_by(layers, sides, dim=32):
    """Which tokens of a clip read which, by gradients: bool (t, t)."""

    def run(x):  # one random mix of the channels, as all would take long
        y = nn.Sequential(*layers)(x.unflatten(3, sides[1:]))
        return (torch.einsum("bcfhw,c->bfhw", y, noise(dim, seed=3)).flatten(2)[:, None],)

    return measured_reads(run, noise(1, dim, sides[0], sides[1] * sides[2]))


def same_window(layer, sides):
    """Which tokens meet in a window and are not parted there: bool (t, t)."""
    numbers = layer.partition(torch.arange(sides.numel()).view(1, *sides, 1))[0]  # (n, t, 1)
    meets = torch.zeros(sides.numel(), sides.numel(), dtype=torch.bool)
    apart = layer.parted(sides, "cpu")
    meets[numbers.expand_as(apart), numbers.mT.expand_as(apart)] = ~apart
    return meets


@KINDS
@pytest.mark.parametrize("sides, window", [((4, 4, 4), (2, 2, 2)), ((2, 4, 6), (2, 2, 3))])
def test_a_layer_reads_its_windows_and_nothing_beyond(kind, sides, window):
    layer, sides = layer_of(window, kind, dim=32), torch.Size(sides)
    assert torch.equal(read_by([layer], sides), same_window(layer, sides))


def test_eight_windows_become_27_by_the_shift():
    sides = torch.Size((4, 4, 4))
    for kind, count, sizes in (
        (VideoWindowAttention, 8, {8}),
        (ShiftedVideoWindowAttention, 27, {1, 2, 4, 8}),
    ):
        found = read_by([layer_of((2, 2, 2), kind, dim=32)], sides)
        assert len(found.unique(dim=0)) == count
        assert set(found.sum(1).tolist()) == sizes
        whole = same_window(layer_of((4, 4, 4), kind, dim=32), torch.Size((8, 8, 8)))
        assert len(whole.unique(dim=0)) == count  # the paper's example, P = M = 4 in 8 x 8 x 8
        assert whole.sum(1).max() == 4**3


def test_two_layers_reach_across_borders_in_time_and_space():
    """A token of a middle window reads eight windows, each of which has read eight tokens."""
    sides = torch.Size((4, 4, 4))
    layers = [
        layer_of((2, 2, 2), kind, dim=32)
        for kind in (VideoWindowAttention, ShiftedVideoWindowAttention)
    ]
    found = read_by(layers, sides).view(4, 4, 4, -1).sum(-1)
    assert (found[1:3, 1:3, 1:3] == 64).all() and found[0, 0, 0] == 8 and found[0, 1, 1] == 32


@KINDS
@pytest.mark.parametrize("sides", [(4, 8, 8), (8, 8, 8), (4, 16, 8)])
def test_multiply_adds_grow_with_the_tokens_alone(kind, sides):
    (f, h, w), (p, m, _), c = sides, (2, 4, 4), 64
    n, t = f * h * w, p * m**2
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer_of((p, m, m), kind)(noise(1, c, *sides))
    attention, feed_forward = 4 * n * c**2 + 2 * n * t * c, 2 * 2 * n * c**2
    assert counter.get_total_flops() // 2 == attention + feed_forward


def test_windows_follow_shifts_by_windows_and_masked_ones_none():
    def follows(layer, *shifts):
        x = noise(1, 64, 4, 8, 8)
        return same(layer(x.roll(shifts, (2, 3, 4))), layer(x).roll(shifts, (2, 3, 4)))

    plain, shifted, unmasked = (
        layer_of((2, 4, 4), kind)
        for kind in (VideoWindowAttention, ShiftedVideoWindowAttention, WithoutMask)
    )
    for shifts in ((2, 0, 0), (0, 4, 0), (2, 4, 4)):
        assert follows(plain, *shifts) and follows(unmasked, *shifts)
        assert not follows(shifted, *shifts)  # the mask stays where the edges are
    for shifts in ((1, 0, 0), (0, 1, 0), (0, 0, 2)):
        assert not follows(plain, *shifts)


def test_clips_that_windows_do_not_divide_are_refused():
    told = "a clip of 3 frames of 8 x 8 tokens is not divisible by windows of 2 frames of 4 x 4"
    for kind in (VideoWindowAttention, ShiftedVideoWindowAttention):
        with pytest.raises(ValueError, match=told):
            kind(32, (2, 4, 4))(torch.zeros(1, 32, 3, 8, 8))
        with pytest.raises(ValueError, match="not divisible"):
            kind(32, (2, 4, 4))(torch.zeros(1, 32, 2, 8, 6))
        with pytest.raises(ValueError, match="48 channels do not divide into heads"):
            kind(48, (2, 4, 4))


def test_a_layer_has_its_parameters_and_every_one_learns_through_the_mask():
    torch.manual_seed(0)
    layer = ShiftedVideoWindowAttention(32, (2, 4, 4))
    assert layer.table.shape == (1, 3, 7, 7) and 0.01 < layer.table.std() < 0.03
    matrices = 4 * 32**2 + 2 * 4 * 32**2
    biases = 4 * 32 + 4 * 32 + 32 + 2 * 2 * 32
    assert sum(p.numel() for p in layer.parameters()) == matrices + biases + 3 * 7 * 7
    layer(torch.randn(2, 32, 4, 8, 8)).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.abs().max() > 0, name
    assert (layer.table.grad != 0).all()


def test_saved_weights_come_back(tmp_path):
    """`save` keeps whole networks of maps; a layer for clips is kept as PyTorch keeps modules."""
    ours, other, x = (
        layer_of((2, 4, 4)),
        ShiftedVideoWindowAttention(64, (2, 4, 4), 2),
        clip_of(4, 8, 8),
    )
    torch.save(ours.state_dict(), tmp_path / "layer.pt")
    other.double().load_state_dict(torch.load(tmp_path / "layer.pt"))
    assert torch.equal(other(x), ours(x))
