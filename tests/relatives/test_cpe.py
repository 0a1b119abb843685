"""The conditional position encoding is timm's, and tells places apart by the zeros around them."""

import torch
from helpers import noise, randomize
from relatives.proofs import follows, multiply_adds, reads
from timm.models.twins import PosConv
from torch import nn

from minimaxvit.relatives import ConditionalPositions


def test_it_is_that_of_timm():
    ours, theirs = randomize(ConditionalPositions(8)), PosConv(8, 8).double()
    theirs.proj[0].load_state_dict(ours.depthwise.state_dict())
    x = noise(2, 8, 5, 6)
    expected = theirs(x.flatten(2).mT, (5, 6)).mT.unflatten(2, (5, 6))
    torch.testing.assert_close(ours(x), expected, rtol=0, atol=1e-9)


def test_it_is_its_loop():
    part, x = randomize(ConditionalPositions(3)), noise(2, 3, 4, 5)
    expected = x + part.depthwise.bias.view(1, 3, 1, 1)
    for row in range(4):
        for column in range(5):
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    if 0 <= row + down < 4 and 0 <= column + right < 5:
                        weight = part.depthwise.weight[:, 0, 1 + down, 1 + right]
                        expected[:, :, row, column] += weight * x[:, :, row + down, column + right]
    torch.testing.assert_close(part(x), expected, rtol=0, atol=1e-9)


def test_it_reads_nine_tokens_and_fewer_at_the_edge():
    for h, w in ((5, 5), (4, 6)):
        counts = reads(randomize(ConditionalPositions(2)), 2, h, w).sum(1).view(h, w)
        assert (counts[1:-1, 1:-1] == 9).all()
        assert counts[0, 0] == counts[-1, -1] == 4 and (counts[0, 1:-1] == 6).all()


def test_it_costs_nine_multiply_adds_a_number():
    assert multiply_adds(randomize(ConditionalPositions(64)), 64, 8, 6) == 9 * 64 * 8 * 6


def test_alike_tokens_learn_where_they_are_and_shifts_are_not_followed():
    part = randomize(ConditionalPositions(4))
    out = part(torch.ones(1, 4, 4, 4).double())[0].flatten(1).T
    assert len({tuple(token.tolist()) for token in out.round(decimals=6)}) == 9  # 3 x 3 kinds
    assert not follows(part, 4, 6, 6, 1, 0) and not follows(part, 4, 6, 6, 0, 2)


def test_zeros_around_the_map_are_what_tells():
    part = randomize(ConditionalPositions(4))
    part.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4, padding_mode="circular").double()
    assert follows(part, 4, 6, 6, 1, 0) and follows(part, 4, 6, 6, 0, 2)
