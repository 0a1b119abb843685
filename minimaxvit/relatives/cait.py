"""CaiT's class attention: the class token waits beside the map, and asks once the map is finished.

In ViT the class token and the patches attend to one another from the first layer on, so the same
weights serve patches that look around and a token that sums up. Here the last layers sum up and do
nothing else, at a cost that is linear in the patches. MaxViT has no class token; its head takes the
mean of the last map. XCiT ends in these layers.
Source: Touvron et al. 2021, "Going Deeper with Image Transformers", section 3.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from ..steps import Append
from ..weights import register
from .mixer import PatchProjection
from .vit import GlobalAttention


class ClassTokenStem(PatchProjection):
    """Project each patch to a token, and begin a class token beside the map: (b, 1, c) from `run`.

    Shapes: (b, in_channels, h, w) -> (b, c, h / stride, w / stride), of any size that patches fill.
    """

    def __init__(self, stem_dim, stem_stride, in_channels=3):
        super().__init__(stem_dim, stem_stride, in_channels)
        self.class_token = nn.Parameter(torch.empty(1, 1, stem_dim))
        nn.init.normal_(self.class_token, std=0.02)

    def run(self, images):
        return self(images), self.class_token.expand(images.shape[0], -1, -1)

    def steps(self):
        return *super().steps(), Append(1)


class ClassAttention(GlobalAttention):
    """A transformer layer in which the class token alone asks, and all tokens answer.

    y <- y + g1 Attention(query LN(y), keys LN([x, y])); y <- y + g2 FFN(LN(y)), for the class token
    y and the map x, which stays as it is; the scales g start at 1. Shapes: (b, c, h, w) and
    (b, 1, c), both unchanged. ValueError if `head_dim` does not divide `dim`. Source: section 3.
    """

    def __init__(self, dim, expansion=4, drop_path=0.0, activation=F.gelu):
        super().__init__(dim, expansion, drop_path, activation)
        self.scales = nn.Parameter(torch.ones(2, dim))

    def forward(self, x, class_token):
        y = class_token[:, None]  # (b, 1, 1, c): one group with one query
        y = y + self.drop(self.scales[0] * self.attend(x, class_token))
        y = y + self.drop(self.scales[1] * self.feed_forward(self.feed_forward_norm(y)))
        return x, y[:, 0]

    def attend(self, x, class_token):
        value = self.attention.value(self.attention_norm(self.join(x, class_token)))
        weights = self.scores(x, class_token)[0].softmax(-1)  # (b, heads, 1, 1, t)
        out = weights @ self.attention.split_heads(value)
        return self.attention.output(rearrange(out, "b heads n t d -> b n t (heads d)"))

    def scores(self, x, class_token):
        attention, y = self.attention, self.attention_norm(self.join(x, class_token))
        query, key = attention.query(y[:, :, -1:]), attention.key(y)
        query, key = attention.split_heads(query), attention.split_heads(key)
        scores = query @ key.mT * attention.head_dim**-0.5
        return scores, torch.zeros_like(scores[0])  # no bias

    def groups(self, numbers, extra):
        return extra[None], torch.cat([numbers.flatten(), extra])[None]  # (1, 1), (1, t)


register(ClassTokenStem=ClassTokenStem, ClassAttention=ClassAttention)
