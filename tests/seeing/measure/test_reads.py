"""Lowered steps read exactly what their parts read, measured by derivatives."""

import pytest
import torch
from helpers import measured_reads, noise, randomize
from torch import nn

from minimaxvit import BlockAttention, Downsample, MBConv, maxvit
from minimaxvit.seeing.measure.reads import (
    Places,
    attention_reads,
    covered,
    lower,
    lower_network,
    lower_part,
    places_after,
)
from minimaxvit.seeing.measure.receptive_field import CountPaths
from minimaxvit.seeing.measure.walking import walk, walk_part
from minimaxvit.steps import Add, Append, Attend, Gate, Part, Taps


def reads_of(steps, places):
    """Which places after the steps read which before them: bool (out, in)."""
    lowered, after = lower(steps, places)
    return walk(lowered, torch.eye(after.count).double(), CountPaths(gates=False)) > 0


def test_what_is_no_step_is_named():
    with pytest.raises(TypeError, match="3 is no step"):
        lower((3,), Places(4, 4))


def test_an_identity_is_no_step():
    assert lower((Taps(nn.Identity()),), Places(3, 2, 1)) == ((), Places(3, 2, 1))


def test_places_keep_count_of_pixels_and_extra_tokens():
    places = {
        name: places_after(part) for name, part in lower_network(maxvit("compact"), 32, 64).items()
    }
    assert places["stem"] == Places(16, 32, 0, 2)
    assert places["2.1 MBConv"] == places["2.1 GridAttention"] == Places(8, 16, 0, 4)
    vit = lower_network(maxvit("vit"), 32, 32, until="1.1 GlobalAttention")
    assert list(vit) == ["stem", "1.1 GlobalAttention"]
    assert places_after(vit["1.1 GlobalAttention"]) == Places(8, 8, 1, 4)


def test_extra_tokens_pass_a_part_that_only_knows_the_map():
    lowered = lower_part(MBConv(8, 16, stride=2), Places(4, 6, 2))
    assert lowered.passing == 2 and places_after(lowered) == Places(2, 3, 2, 2)
    matrix = walk_part(lowered, torch.eye(8).double(), CountPaths(gates=False))
    assert matrix.shape == (8, 26)
    assert matrix[6:, 24:].tolist() == [[1, 0], [0, 1]]  # once, though there are two branches
    assert not matrix[6:, :24].any() and not matrix[:6, 24:].any()


def test_extra_tokens_begin_unread_and_pass_windows():
    steps = Append(1), Taps(nn.Conv2d(1, 1, 2, 2))
    reads = reads_of(steps, Places(4, 4, 1))
    assert reads.shape == (4 + 2, 17)
    assert reads[4].nonzero().tolist() == [[16]] and not reads[5].any()


class Everything(Part):
    """Reads the map and the extra tokens in several ways, and says so."""

    def steps(self):
        return (Add(((), (Attend(self.groups),))), Gate())

    def run(self, x, extra):
        return x, extra

    def groups(self, numbers, extra):
        h, w = numbers.shape[1:3]
        around = torch.full((h * w, 3), -1)
        around[:, 0] = torch.arange(h * w)
        around[1:, 1] = torch.arange(h * w - 1)
        around[:, 2] = extra[0]
        return torch.arange(h * w)[:, None], around


def test_queries_and_keys_may_differ_and_extra_tokens_may_be_keys_alone():
    lowered = lower_part(Everything(), Places(2, 2, 1))
    matrix = walk_part(lowered, torch.eye(5).double(), CountPaths(gates=False))
    assert matrix.tolist() == [
        [2, 0, 0, 0, 1],
        [1, 2, 0, 0, 1],
        [0, 1, 2, 0, 1],
        [0, 0, 1, 2, 1],
        [0, 0, 0, 0, 1],  # asks nobody
    ]
    (read,) = attention_reads(lowered.reads)
    assert covered((read,), read.after).tolist() == [True] * 4 + [False]
    gated = walk_part(lowered, torch.eye(5).double(), CountPaths(gates=True))
    tokens = matrix[:4] + matrix[:4].sum(0)
    assert torch.equal(gated, torch.cat([tokens, matrix[4:]]))  # extra tokens are not gated


def test_keys_may_come_from_a_coarser_map():
    def groups(numbers, extra):  # as in spatial-reduction attention
        return torch.arange(16)[None], numbers.view(1, -1)

    steps = (Add(((), (Taps(nn.Conv2d(1, 1, 2, 2)), Attend(groups)))),)
    assert reads_of(steps, Places(4, 4)).all()
    (read,) = attention_reads(lower(steps, Places(4, 4, 0, 2))[0])
    assert (read.before, read.after) == (Places(2, 2, 0, 4), Places(4, 4, 0, 2))


def test_groups_that_do_not_exist_are_refused():
    for queries, keys in (
        (torch.zeros(1, 1).long(), torch.full((1, 1), 16)),
        (torch.full((1, 1), 16), torch.zeros(1, 1).long()),
        (torch.zeros(2, 1).long(), torch.zeros(1, 1).long()),
    ):
        with pytest.raises(ValueError, match="Attend names queries"):
            lower((Attend(lambda *_, q=queries, k=keys: (q, k)),), Places(4, 4))


def test_branches_must_meet():
    with pytest.raises(ValueError, match="branches of a sum end on different maps"):
        lower((Add(((), (Taps(nn.AvgPool2d(2)),))),), Places(4, 4))


PARTS = {
    "MBConv": (MBConv(8, 8), 8),
    "MBConv, stride 2": (MBConv(8, 16, stride=2), 8),
    "downsampling": (Downsample(8, 16, 2), 8),
    "block": (BlockAttention(32, 2), 32),
}


@pytest.mark.parametrize("part, channels", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("h, w", [(4, 6), (2, 4)])
def test_parts_read_what_their_derivatives_say(part, channels, h, w):
    part = randomize(part)
    lowered = lower_part(part, Places(h, w))
    matrix = walk_part(lowered, torch.eye(lowered.after.count).double(), CountPaths(gates=True))
    assert torch.equal(matrix > 0, measured_reads(part.run, noise(1, channels, h, w)))


def test_a_part_of_ones_own_must_say_its_steps():
    class Silent(Part):
        pass

    with pytest.raises(NotImplementedError, match="Silent must say its steps"):
        lower_part(Silent(), Places(4, 4))
