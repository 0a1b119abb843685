"""CoAtNet: convolutions on the fine map, and on coarser ones relative attention among all tokens.

MaxViT took its two layers from here: the MBConv that norms first, and attention whose logits are a
dot product plus a bias for the offset. Attention among all tokens costs the square of their number,
so it waits until the map is coarse; MaxViT split it into block and grid, which every stage can pay.
Source: Dai et al. 2021, "CoAtNet: Marrying Convolution and Attention for All Data Sizes".
"""

from dataclasses import replace

from einops import rearrange
from torch import nn

from ..attention import RelativeAttention
from ..configs import CONFIGS
from ..layers import FeedForward, StochasticDepth, gelu
from ..mbconv import Downsample, MBConv
from ..steps import Add, Attend, Part
from ..weights import register


class GlobalRelativeAttention(Part):
    """A transformer layer in which each token of a map attends to all, by content and by offset.

    x <- Proj(Pool(x)) + Attention(Pool(LN(x))), then x <- x + FFN(LN(x)); Pool where it strides,
    Proj where channels change. Its pool is MaxViT's, an average; the paper's takes the maximum.
    The table has an entry per offset, so that no map fits but `window` strides by `window` strides.
    Shapes: (b, c, h, w) -> (b, c', h / stride, w / stride). ValueError if heads of dimension 32 do
    not divide `dim`. Source: sections 2.1 and 2.2, equation 3, appendix A.1.
    """

    def __init__(self, in_dim, dim, window, stride=1, expansion=4, drop_path=0.0, activation=gelu):
        super().__init__()
        self.window, self.stride = window, stride
        self.shortcut = Downsample(in_dim, dim, stride)
        self.attention_norm = nn.LayerNorm(in_dim)
        self.attention = RelativeAttention(dim, window)
        for name in ("query", "key", "value"):  # in the branch, these change the channels
            setattr(self.attention, name, nn.Linear(in_dim, dim))
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim, expansion, activation)
        self.drop = StochasticDepth(drop_path)

    def forward(self, x):
        x = self.shortcut(x) + self.drop(self.attend(x))
        x = x.permute(0, 2, 3, 1)  # (b, h', w', c')
        x = x + self.drop(self.feed_forward(self.feed_forward_norm(x)))
        return x.permute(0, 3, 1, 2)

    def attend(self, x):
        out = self.attention(self.tokens(x))  # (b, 1, t, c')
        return rearrange(out, "b 1 (h w) c -> b c h w", h=self.window)

    def tokens(self, x):
        """Make one group of the tokens of the pooled map: (b, c, h, w) -> (b, 1, t, c)."""
        x = self.attention_norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return rearrange(self.shortcut.pool(x), "b c h w -> b 1 (h w) c")

    def scores(self, x):
        return self.attention.scores(self.tokens(x)), self.attention.bias()[:, None]

    def steps(self):
        return *self.shortcut.steps(), Add(((), (Attend(self.groups),)))

    def groups(self, numbers, extra):
        return numbers.view(1, -1), numbers.view(1, -1)  # (1, t) each

    def misfit(self, side):
        if side != (fitting := self.stride * self.window):
            return f"is not the {fitting} x {fitting} that its table of offsets is for"


# For 32 x 32, with nearly as many multiply-adds as compact. The paper's stages are C, C, T, T.
ALL = (GlobalRelativeAttention,)
COATNET = replace(
    CONFIGS["compact"], depths=(2, 3, 2), window=(None, 8, 4), parts=((MBConv,), ALL, ALL)
)

register(GlobalRelativeAttention=GlobalRelativeAttention)
CONFIGS["coatnet"] = COATNET
