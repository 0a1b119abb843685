"""Multi-head self-attention among the tokens of each group, with a relative position bias."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from .position import RelativePositionBias


class RelativeAttention(nn.Module):
    """Let each token of a group gather from all of them, by content and by relative position.

    softmax(q k^T / sqrt(d) + bias) v, in heads of *width* 32: MaxViT-T has 2, 4, 8 and 16, not 32.
    Shapes: (b, n, t, c) -> (b, n, t, c), t = window * window. Groups never see one another.
    ValueError if `head_width` does not divide `channels`. Source: paper 3.1, relative attention.
    """

    def __init__(self, channels, window, head_width=32):
        super().__init__()
        if channels % head_width:
            raise ValueError(f"{channels} channels do not divide into heads of width {head_width}")
        self.head_width = head_width
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.output = nn.Linear(channels, channels)
        self.bias = RelativePositionBias(channels // head_width, window)

    def forward(self, x):
        value, bias = self._by_head(self.value(x)), self.bias()  # bias: (heads, t, t)
        if torch.is_grad_enabled():  # then the plain formula is faster than the fused function
            gathered = (self.content(x) + bias).softmax(-1) @ value
        else:  # it wants four axes
            query, key = self._by_head(self.query(x)), self._by_head(self.key(x))
            gathered = F.scaled_dot_product_attention(query, key, value, attn_mask=bias[None])
        return self.output(rearrange(gathered, "(b n) heads t d -> b n t (heads d)", b=x.shape[0]))

    def content(self, x):
        """Score how well each key answers each query: (b, n, t, c) -> ((b n), heads, t, t)."""
        query, key = self._by_head(self.query(x)), self._by_head(self.key(x))
        return query @ key.mT * self.head_width**-0.5

    def _by_head(self, x):
        return rearrange(x, "b n t (heads d) -> (b n) heads t d", d=self.head_width)
