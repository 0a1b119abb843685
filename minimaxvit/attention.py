"""Multi-head self-attention among the tokens of each group, with a relative position bias."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from .position import RelativePositionBias


class RelativeAttention(nn.Module):
    """Let each token of a group gather from all of them, by content and by relative position.

    softmax(q k^T / sqrt(d) + bias) v, in heads of *width* 32: 2, 4, 8 and 16 of them in the stages
    of MaxViT-T, not 32. Groups never see one another; the partition says who shares one.
    Shapes: (b, n, t, c) -> (b, n, t, c), t = window * window. Raises ValueError if `head_width`
    does not divide `channels`. Source: paper 3.1, relative self-attention.
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
        query, key, value = (
            rearrange(project(x), "b n t (heads d) -> (b n) heads t d", d=self.head_width)
            for project in (self.query, self.key, self.value)
        )
        bias = self.bias()  # (heads, t, t)
        if torch.is_grad_enabled():  # then the plain formula is faster than the fused function
            scores = query @ key.mT * self.head_width**-0.5 + bias  # ((b n), heads, t, t)
            gathered = scores.softmax(-1) @ value
        else:  # it wants four axes
            gathered = F.scaled_dot_product_attention(query, key, value, attn_mask=bias[None])
        merged = rearrange(gathered, "(b n) heads t d -> b n t (heads d)", b=x.shape[0])
        return self.output(merged)  # (b, n, t, c)
