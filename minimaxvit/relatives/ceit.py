"""CeiT: a Vision Transformer with a convolution in its stem and another in every feed-forward.

Patches are cut from a map of low-level features instead of from pixels, and between its two linear
layers a feed-forward lets each token look at its neighbors. MaxViT does the same one after the
other: its MBConv is that feed-forward as a layer of its own, before attention.
Source: Yuan et al. 2021, "Incorporating Convolution Designs into Visual Transformers", sections
3.2 and 3.3. Attention among the class tokens of all layers, section 3.4, is left out.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from ..configs import CONFIGS
from ..layers import BatchNorm, Conv3x3
from ..steps import Add, Append, Taps
from ..weights import register
from .vit import VIT, GlobalAttention, PatchEmbedding


class ImageToTokens(PatchEmbedding):
    """Cut patches from pooled features: x = Patches(MaxPool(BN(Conv(image)))), plus positions.

    The pool halves, so patches are stem_stride / 2 wide. The paper's convolution, for larger
    images, is 7 x 7 and strides. As in `PatchEmbedding` else; ValueError for an odd stride.
    """

    features = 32

    def __init__(self, stem_dim, stem_stride, image_size, in_channels=3):
        super().__init__(stem_dim, stem_stride, image_size, in_channels)
        if stem_stride % 2:
            raise ValueError(f"a stride of {stem_stride} is odd, and the pool halves")
        del self.project  # so that `conv` comes before it, as the first convolution
        self.conv = Conv3x3(in_channels, self.features, bias=False)
        self.norm = BatchNorm(self.features)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.project = nn.Conv2d(self.features, stem_dim, stem_stride // 2, stem_stride // 2)

    def forward(self, images):
        return super().forward(self.pool(self.norm(self.conv(images))))

    def steps(self):
        return Taps(self.conv), Taps(self.pool), Taps(self.project), Append(1)


class LocallyEnhancedFeedForward(nn.Module):
    """Transform each token, with a look at its neighbors where it is widest.

    BN(shrink(gelu(BN(depthwise(gelu(BN(expand(x)))))))) on the map; extra tokens are returned as
    they came. Shapes: (b, 1, h * w + k, c) -> the same. Source: section 3.3.
    """

    def __init__(self, dim, expansion=4, activation=F.gelu):
        super().__init__()
        inner, self.activation = expansion * dim, activation
        self.expand = nn.Conv2d(dim, inner, 1, bias=False)
        self.expand_norm = BatchNorm(inner)
        self.depthwise = Conv3x3(inner, inner, groups=inner, bias=False)
        self.depthwise_norm = BatchNorm(inner)
        self.shrink = nn.Conv2d(inner, dim, 1, bias=False)
        self.shrink_norm = BatchNorm(dim)

    def forward(self, x, h, w):
        tokens, extra = x.split([h * w, x.shape[2] - h * w], 2)
        y = rearrange(tokens, "b 1 (h w) c -> b c h w", h=h)
        y = self.activation(self.expand_norm(self.expand(y)))  # (b, inner, h, w)
        y = self.activation(self.depthwise_norm(self.depthwise(y)))
        y = rearrange(self.shrink_norm(self.shrink(y)), "b c h w -> b 1 (h w) c")
        return torch.cat([y, extra], 2)


class LocallyEnhancedAttention(GlobalAttention):
    """ViT's layer, whose feed-forward sees neighbors.

    x <- x + Attention(LN(x)), then x <- x + LeFF(LN(x)); as the class token goes around LeFF, its
    own norm is added to it, as in the official code. Shapes and errors as in `GlobalAttention`.
    """

    def __init__(self, dim, expansion=4, drop_path=0.0, activation=F.gelu):
        super().__init__(dim, expansion, drop_path, activation)
        self.feed_forward = LocallyEnhancedFeedForward(dim, expansion, activation)

    def forward(self, x, *extra):
        h, w = x.shape[2:]
        y = self.join(x, *extra)
        y = y + self.drop(self.attention(self.attention_norm(y)))
        y = y + self.drop(self.feed_forward(self.feed_forward_norm(y), h, w))
        x, *extra = y[:, 0].split([h * w, *(tokens.shape[1] for tokens in extra)], 1)
        return rearrange(x, "b (h w) c -> b c h w", h=h), *extra

    def steps(self):
        return *super().steps(), Add(((), (Taps(self.feed_forward.depthwise),)))


# The last layer is ViT's: only its class token is read, which would go around LeFF. In the paper
# attention among class tokens comes last, with such a plain feed-forward.
PARTS = (LocallyEnhancedAttention,), (GlobalAttention,)
CEIT = replace(VIT, dims=(128, 128), depths=(5, 1), stem=ImageToTokens, parts=PARTS)

register(ImageToTokens=ImageToTokens, LocallyEnhancedAttention=LocallyEnhancedAttention)
CONFIGS["ceit"] = CEIT
