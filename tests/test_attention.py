"""Attention against the formula written out, and what it may and may not see."""

import math

import pytest
import torch
from helpers import noise, randomize

from minimaxvit import RelativeAttention, relative_position_index


def by_the_formula(attention, x, head_dim=32):
    """softmax(q k^T / sqrt(32) + bias) v, a picture, a group and a head at a time."""
    query, key, value = attention.query(x), attention.key(x), attention.value(x)
    window = math.isqrt(x.shape[2])
    gathered = torch.zeros_like(x)
    for picture in range(x.shape[0]):
        for group in range(x.shape[1]):
            for head, start in enumerate(range(0, x.shape[3], head_dim)):
                mine = picture, group, slice(None), slice(start, start + head_dim)
                bias = attention.bias.table[head].flatten()[relative_position_index(window)]
                scores = query[mine] @ key[mine].T / head_dim**0.5 + bias  # (t, t)
                weights = scores.exp() / scores.exp().sum(1, keepdim=True)
                gathered[mine] = weights @ value[mine]
    return attention.output(gathered)


@pytest.mark.parametrize("channels, window, head_dim", [(32, 3, 32), (96, 2, 32), (64, 4, 16)])
def test_attention_is_the_formula(channels, window, head_dim):
    attention = randomize(RelativeAttention(channels, window, head_dim))
    x = noise(2, 3, window**2, channels)
    torch.testing.assert_close(attention(x), by_the_formula(attention, x, head_dim))


def test_permuting_groups_permutes_outputs():
    attention = randomize(RelativeAttention(64, 3))
    x, order = noise(2, 5, 9, 64), torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(attention(x[:, order]), attention(x)[:, order])


def test_groups_and_images_never_attend_to_one_another():
    attention = randomize(RelativeAttention(64, 3))
    x = noise(2, 5, 9, 64)
    changed = x.clone()
    changed[1, 3] += 1
    differs = (attention(changed) - attention(x)).abs().amax((2, 3)) > 1e-9  # (b, n)
    assert differs.nonzero().tolist() == [[1, 3]]


def test_only_the_bias_sees_the_order_of_the_tokens():
    attention = randomize(RelativeAttention(64, 3))
    x, order = noise(2, 5, 9, 64), torch.tensor([4, 8, 0, 3, 7, 2, 6, 1, 5])
    assert not torch.allclose(attention(x[:, :, order]), attention(x)[:, :, order])
    torch.nn.init.zeros_(attention.bias.table)
    torch.testing.assert_close(attention(x[:, :, order]), attention(x)[:, :, order])


@pytest.mark.parametrize("channels, heads", [(64, 2), (128, 4), (256, 8), (512, 16), (768, 24)])
def test_heads_are_of_dimension_32(channels, heads):
    assert RelativeAttention(channels, 2).bias().shape == (heads, 4, 4)


def test_every_part_of_attention_learns_but_the_bias_of_the_key():
    attention = randomize(RelativeAttention(64, 3))
    attention(noise(2, 5, 9, 64)).square().sum().backward()
    # A bias of the key adds the same to all scores of a query, so softmax takes it out again.
    largest = {name: p.grad.abs().max() for name, p in attention.named_parameters()}
    assert largest.pop("key.bias") < 1e-9
    assert min(largest.values()) > 1e-3
    assert attention.bias.table.grad.ne(0).all()


@pytest.mark.parametrize("channels", [16, 48, 100])
def test_channels_that_do_not_divide_into_heads_are_refused(channels):
    with pytest.raises(ValueError, match=f"{channels} channels .* heads of dimension 32"):
        RelativeAttention(channels, 7)
