"""Visual Transformers: a few tokens, each a mean of the map where it is of interest.

A handful of visual tokens gathers what matters from the whole map, they attend to one another, and
every place of the map takes back what concerns it. Cost is linear in the map, as MaxViT's is. There
places attend to places, though each to few; here all are reached, but through a few tokens.
Source: Wu et al. 2020, "Visual Transformers: Token-based Image Representation and Processing for
Computer Vision", section 3.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from ..configs import CONFIGS
from ..layers import FeedForward
from ..mbconv import MBConv
from ..steps import Add, Append, Attend, Part
from ..weights import register


def sequence(x):
    return rearrange(x, "b c h w -> b (h w) c")


class TokenPart(Part):
    """One head without bias or scale, whose values are what is read, unchanged.

    Subclasses `compare` queries with keys: a map (b, c, h, w), and tokens (b, k, c) beside it if
    there are any, -> (b, t, s). Unless they say more, the tokens' new state is what they gather
    from the map: -> the same map and (b, k, c).
    """

    def forward(self, x, *tokens):
        return x, self.attend(x, *tokens)

    def attend(self, x, *tokens):
        return self.compare(x, *tokens).softmax(-1) @ self.values(x, *tokens)  # (b, t, c)

    def values(self, x, *tokens):
        return sequence(x)

    def run(self, x, *tokens):
        return self(x, *tokens)

    def scores(self, x, *tokens):
        scores = self.compare(x, *tokens)[:, None, None]  # (b, heads, n, t, s), both 1
        return scores, torch.zeros_like(scores[0])

    def steps(self):  # a token depends on its old state: by a shortcut, or as it says where to look
        return (Add(((), (Attend(self.groups),))),)

    def groups(self, numbers, extra):
        return extra[None], numbers.view(1, -1)


class FilterTokenizer(TokenPart):
    """Begin tokens, each with what one learned filter responds to.

    T = softmax over places of (X W)^T, times X. Source: equation 1.
    """

    count = 16

    def __init__(self, dim):
        super().__init__()
        self.filters = nn.Linear(dim, self.count, bias=False)

    def compare(self, x):
        return self.filters(sequence(x)).mT

    def steps(self):
        return Append(self.count), *super().steps()


class RecurrentTokenizer(TokenPart):
    """Let the tokens say where to look next, so that filters fit the image.

    T <- softmax over places of (X W_R)^T, times X, where W_R = (T W)^T. Source: equation 2.
    """

    def __init__(self, dim):
        super().__init__()
        self.guide = nn.Linear(dim, dim, bias=False)

    def compare(self, x, tokens):
        return self.guide(tokens) @ sequence(x).mT


class TokenTransformer(TokenPart):
    """Let the tokens exchange what they gathered; the map passes.

    T <- T + softmax((T K)(T Q)^T) T, then T <- T + FFN(T). Source: equations 3 and 4, but the FFN,
    which is MaxViT's and may be wider inside.
    """

    def __init__(self, dim, expansion=4, activation=F.gelu):
        super().__init__()
        self.query, self.key = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.feed_forward = FeedForward(dim, expansion, activation)

    def forward(self, x, tokens):
        tokens = tokens + self.attend(x, tokens)
        return x, tokens + self.feed_forward(tokens)

    def compare(self, x, tokens):
        return self.query(tokens) @ self.key(tokens).mT

    def values(self, x, tokens):
        return tokens

    def groups(self, numbers, extra):
        return extra[None], extra[None]


class Projector(TokenPart):
    """Let each place of the map take from the tokens what concerns it; the tokens pass.

    X <- X + softmax over tokens of ((X W_Q)(T W_K)^T), times T. Source: equation 5.
    """

    def __init__(self, dim):
        super().__init__()
        self.query, self.key = (nn.Linear(dim, dim, bias=False) for _ in range(2))

    def forward(self, x, tokens):
        return x + rearrange(self.attend(x, tokens), "b (h w) c -> b c h w", h=x.shape[2]), tokens

    def compare(self, x, tokens):
        return self.query(sequence(x)) @ self.key(tokens).mT

    values = TokenTransformer.values

    def groups(self, numbers, extra):
        return numbers.view(1, -1), extra[None]


# As in the paper, convolutions come first and tokens at the end, where the map, 8 x 8, is no longer
# made coarser. Filters begin the tokens, which then recur.
LAYER = (TokenTransformer, Projector)
VISUAL_TOKENS = replace(
    CONFIGS["compact"],
    dims=(32, 96, 192, 192),
    depths=(2, 2, 1, 2),
    strides=(1, 2, 1, 1),
    window=None,
    parts=((MBConv,), (MBConv,), (FilterTokenizer, *LAYER), (RecurrentTokenizer, *LAYER)),
)

PARTS = (FilterTokenizer, RecurrentTokenizer, *LAYER)
register(**{part.__name__: part for part in PARTS})
CONFIGS["visual_tokens"] = VISUAL_TOKENS
