"""The Vision Transformer: every token attends to every other from the first layer to the last.

MaxViT cuts the map into groups so that the cost of attention is linear in the number of tokens;
here it is quadratic, so patches are coarse from the start. Nothing but the learned positions says
where a patch is, and a token that is not on the map, the class token, gathers what is classified.
Source: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", sections and equations as there.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from ..configs import CONFIGS
from ..layers import FeedForward, StochasticDepth
from ..network import MaxViTConfig
from ..steps import Add, Append, Attend, Part, Taps
from ..weights import register

EPS = 1e-6  # of every norm in the official code; PyTorch's own is 1e-5


class PatchEmbedding(Part):
    """Project each patch to a token, add its position, and begin a class token beside the map.

    A patch is `stem_stride` pixels wide. One position is learned per patch, so images of any side
    but `image_size` are a misfit. Shapes: (b, in_channels, h, w) -> (b, c, h / stride, w / stride),
    and (b, 1, c) from `run`. ValueError if patches do not divide the image. Source: equation 1.
    """

    def __init__(self, stem_dim, stem_stride, image_size, in_channels=3):
        super().__init__()
        if image_size % stem_stride:
            raise ValueError(
                f"patches of {stem_stride} pixels do not divide an image of {image_size}"
            )
        self.stride, self.image_size = stem_stride, image_size
        side = image_size // stem_stride
        self.project = nn.Conv2d(in_channels, stem_dim, stem_stride, stem_stride)
        self.positions = nn.Parameter(torch.empty(1, stem_dim, side, side))
        self.class_token = nn.Parameter(torch.empty(1, 1, stem_dim))
        self.class_position = nn.Parameter(torch.empty(1, 1, stem_dim))
        for learned in (self.positions, self.class_token, self.class_position):
            nn.init.normal_(learned, std=0.02)

    def forward(self, images):
        return self.project(images) + self.positions

    def run(self, images):
        class_token = self.class_token + self.class_position  # the same for every image
        return self(images), class_token.expand(images.shape[0], -1, -1)

    def steps(self):
        return Taps(self.project), Append(1)

    def misfit(self, side):
        if side != self.image_size:
            return (
                f"is not the {self.image_size} x {self.image_size} that positions are learned for"
            )

    def extra_repr(self):
        return f"image_size={self.image_size}"


class MultiHeadAttention(nn.Module):
    """Let each token of a group gather from all of them, by content alone.

    softmax(q k^T / sqrt(d)) v in every head; without a position bias, permuting the tokens permutes
    the output in the same way. Shapes: (b, n, t, c) -> (b, n, t, c). ValueError if `head_dim` does
    not divide `dim`. Source: Vaswani et al. 2017, section 3.2.
    """

    def __init__(self, dim, head_dim=32):
        super().__init__()
        if dim % head_dim:
            raise ValueError(f"{dim} channels do not divide into heads of dimension {head_dim}")
        self.head_dim = head_dim
        self.query, self.key, self.value = (nn.Linear(dim, dim) for _ in range(3))
        self.output = nn.Linear(dim, dim)

    def forward(self, x):
        weights = self.scores(x).softmax(-1)  # (b, heads, n, t, t), a row per query
        out = weights @ self.split_heads(self.value(x))
        return self.output(rearrange(out, "b heads n t d -> b n t (heads d)"))

    def scores(self, x):
        query, key = self.split_heads(self.query(x)), self.split_heads(self.key(x))
        return query @ key.mT * self.head_dim**-0.5

    def split_heads(self, x):
        return rearrange(x, "b n t (heads d) -> b heads n t d", d=self.head_dim)

    def extra_repr(self):
        return f"heads={self.query.out_features // self.head_dim}, head_dim={self.head_dim}"


class GlobalAttention(Part):
    """A transformer layer over one group: all tokens of the map, and the extra ones beside it.

    x <- x + Attention(LN(x)), then x <- x + FFN(LN(x)). Any map fits, but twice its sides cost 16
    times the attention weights. Shapes: (b, c, h, w) and (b, k, c), both unchanged. ValueError if
    `head_dim` does not divide `dim`. Source: equations 2 and 3, figure 1.
    """

    head_dim = 32  # MaxViT's; the official networks state 64

    def __init__(self, dim, expansion=4, drop_path=0.0, activation=F.gelu):
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim, eps=EPS)
        self.attention = MultiHeadAttention(dim, self.head_dim)
        self.feed_forward_norm = nn.LayerNorm(dim, eps=EPS)
        self.feed_forward = FeedForward(dim, expansion, activation)
        self.drop = StochasticDepth(drop_path)

    def run(self, x, *extra):
        return self(x, *extra)

    def forward(self, x, *extra):
        h, w = x.shape[2:]
        y = self.join(x, *extra)
        y = y + self.drop(self.attention(self.attention_norm(y)))
        y = y + self.drop(self.feed_forward(self.feed_forward_norm(y)))
        x, *extra = y[:, 0].split([h * w, *(tokens.shape[1] for tokens in extra)], 1)
        return rearrange(x, "b (h w) c -> b c h w", h=h), *extra

    def join(self, x, *extra):
        """Make one group: (b, c, h, w), (b, k, c) -> (b, 1, t, c), t = h * w + k, map first."""
        return torch.cat([rearrange(x, "b c h w -> b (h w) c"), *extra], 1)[:, None]

    def scores(self, x, *extra):
        scores = self.attention.scores(self.attention_norm(self.join(x, *extra)))
        return scores, torch.zeros_like(scores[0])  # no bias

    def steps(self):
        return (Add(((), (Attend(self.groups),))),)

    def groups(self, numbers, extra):
        tokens = torch.cat([numbers.flatten(), extra])[None]  # (1, t)
        return tokens, tokens


class ClassTokenHead(Part):
    """Classify by the class token alone, the first extra one: -> (b, num_classes), logits.

    It sees only what attention brought to that token. Source: equation 4; fine-tuning has
    one linear layer and no hidden one.
    """

    def __init__(self, dim, num_classes):
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=EPS)
        self.classify = nn.Linear(dim, num_classes)

    def forward(self, class_token):
        return self.classify(self.norm(class_token))  # (b, c) -> (b, num_classes)

    def run(self, x, class_token, *others):
        return (self(class_token[:, 0]),)

    def steps(self):
        return (Attend(lambda numbers, extra: (torch.zeros(1, 1).long(), extra[:1, None])),)


# For 32 x 32: 64 patches of 4 x 4 pixels.
VIT = MaxViTConfig(
    dims=(128,),
    depths=(6,),
    stem_dim=128,
    stem_stride=4,
    strides=1,
    window=None,
    parts=((GlobalAttention,),),
    stem=PatchEmbedding,
    head=ClassTokenHead,
    expansion=2,
    activation=F.gelu,
    num_classes=10,
    image_size=32,
)

register(
    PatchEmbedding=PatchEmbedding, GlobalAttention=GlobalAttention, ClassTokenHead=ClassTokenHead
)
CONFIGS["vit"] = VIT
