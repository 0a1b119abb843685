"""Neighborhood attention: every token attends to a window of its own, with itself in the middle.

MaxViT cuts its blocks once, so tokens on two sides of a cut never meet in block attention; here
windows overlap as those of a convolution do, and there are no cuts. MaxViT keeps the blocks, for
which attention is plain matrix products, and leaves what is farther away to the grid.
Source: Hassani et al. 2023, "Neighborhood Attention Transformer", section 3.1.
"""

from dataclasses import replace

import torch
from einops import rearrange

from ..block import GroupAttention
from ..configs import CONFIGS
from ..layers import gelu
from ..weights import register


def neighborhoods(h, w, window, device=None):
    """Say which `window` x `window` tokens each token of a map reads: long (n, s), n = h * w.

    It stands in the middle of them, except near a border: there the window stops, and the token
    moves to its edge. So all tokens have equally many keys.
    """

    def along(side):  # (side, window)
        first = (torch.arange(side, device=device) - window // 2).clamp(0, side - window)
        return first[:, None] + torch.arange(window, device=device)

    rows, columns = along(h)[:, None, :, None], along(w)[None, :, None, :]
    return (rows * w + columns).reshape(h * w, window * window)


class NeighborhoodAttention(GroupAttention):
    """Attention of each token to the window around it, by content and by relative position.

    softmax(q_i k_j^T / sqrt(d) + bias[j - i]) v_j over the neighbors j of i; near a border, offsets
    reach to window - 1, which is why the table has (2 * window - 1) ** 2 numbers a head.
    Shapes: (b, c, h, w) -> (b, c, h, w), any sides of at least `window`. Source: equations 2 to 4,
    but with the bias added after the division, as the official code does.
    """

    def __init__(self, dim, window, expansion=4, drop_path=0.0, activation=gelu):
        super().__init__(dim, window, expansion, drop_path, activation)
        self.divisor = 1  # windows overlap, so none has to fit in beside another

    def attend(self, x):
        scores, bias = self.compare(x)
        weights = (scores + bias).softmax(-1)  # (b, heads, n, 1, s): one query a group
        out = weights @ self.neighbors(self.attention.value(x))  # (b, heads, n, 1, d)
        out = rearrange(out, "b heads (h w) 1 d -> b h w (heads d)", h=x.shape[1])
        return self.attention.output(out)

    def scores(self, x):
        return self.compare(self.attention_norm(x.permute(0, 2, 3, 1)))

    def compare(self, x):
        tokens = self.attention.query(x).flatten(1, 2)[:, :, None]  # (b, n, 1, c)
        query, key = self.attention.split_heads(tokens), self.neighbors(self.attention.key(x))
        scores = query @ key.mT * self.attention.head_dim**-0.5  # (b, heads, n, 1, s)
        keys = neighborhoods(*x.shape[1:3], self.window, x.device)
        own = torch.arange(len(keys), device=x.device)[:, None]
        slot = (keys == own).int().argmax(1)  # (n,): where a token stands in its own window
        return scores, self.attention.bias()[:, slot, None]  # the bias: (heads, n, 1, s)

    def neighbors(self, x):
        """Gather the keys, or values, of every token: (b, h, w, c) -> (b, heads, n, s, d)."""
        keys = neighborhoods(*x.shape[1:3], self.window, x.device)
        tokens = self.attention.split_heads(x.flatten(1, 2)[:, None])[:, :, 0]  # (b, heads, n, d)
        return tokens.index_select(2, keys.flatten()).unflatten(2, keys.shape)

    def groups(self, numbers, extra):
        return numbers.view(-1, 1), neighborhoods(*numbers.shape[1:3], self.window)

    def misfit(self, side):
        if side < self.window:
            return f"is smaller than a neighborhood of {self.window} x {self.window}"


# For 32 x 32. The paper's window of 7, but for the last map, which is 4 x 4.
PARTS = 3 * ((NeighborhoodAttention,),)
NAT = replace(CONFIGS["compact"], depths=(2, 4, 2), window=(7, 7, 3), parts=PARTS)

register(NeighborhoodAttention=NeighborhoodAttention)
CONFIGS["nat"] = NAT
