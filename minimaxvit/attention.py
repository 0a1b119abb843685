"""Multi-head self-attention over the tokens of each group, with a relative position bias."""

from einops import rearrange
from torch import nn

from .fast import faster, relative_attention
from .position import RelativePositionBias


class RelativeAttention(nn.Module):
    """Let each token of a group gather from all of them, by content and by relative position.

    softmax(q k^T / sqrt(d) + bias) v, in heads of *dimension* 32: MaxViT-T has 2, 4, 8 and 16.
    Shapes: (b, n, t, c) -> (b, n, t, c), t = window * window. Groups never see one another.
    ValueError if `head_dim` does not divide `dim`. Source: paper 3.1, relative attention.
    """

    def __init__(self, dim, window, head_dim=32):
        super().__init__()
        if dim % head_dim:
            raise ValueError(f"{dim} channels do not divide into heads of dimension {head_dim}")
        self.head_dim = head_dim
        self.query, self.key, self.value = (nn.Linear(dim, dim) for _ in range(3))
        self.output = nn.Linear(dim, dim)
        self.bias = RelativePositionBias(dim // head_dim, window)

    @faster(relative_attention, "query", "key", "value")
    def forward(self, x):
        value = self.split_heads(self.value(x))  # (b, heads, n, t, d)
        scores = self.scores(x) + self.bias()[:, None]  # (b, heads, n, t, t)
        weights = scores.softmax(-1)  # one row per query, which sums to 1
        return self.output(rearrange(weights @ value, "b heads n t d -> b n t (heads d)"))

    def scores(self, x):
        """Score how well each key answers each query, before the bias: (b, heads, n, t, t)."""
        query, key = self.split_heads(self.query(x)), self.split_heads(self.key(x))
        return query @ key.mT * self.head_dim**-0.5

    def split_heads(self, x):
        return rearrange(x, "b n t (heads d) -> b heads n t d", d=self.head_dim)

    def extra_repr(self):
        return f"heads={self.query.out_features // self.head_dim}, head_dim={self.head_dim}"
