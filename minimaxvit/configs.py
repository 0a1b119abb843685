"""The networks that have a name. The drop path of xlarge is unpublished."""

from dataclasses import replace

import torch.nn.functional as F

from .block import MAXVIT_PARTS, BlockAttention, MBConv
from .network import MaxViT, MaxViTConfig as Config
from .sizes import with_image_size

CONFIGS = {
    "tiny": Config(dims=(64, 128, 256, 512), depths=(2, 2, 5, 2), stem_dim=64, drop_path=0.2),
    "small": Config(dims=(96, 192, 384, 768), depths=(2, 2, 5, 2), stem_dim=64, drop_path=0.3),
    "base": Config(dims=(96, 192, 384, 768), depths=(2, 6, 14, 2), stem_dim=64, drop_path=0.4),
    "large": Config(dims=(128, 256, 512, 1024), depths=(2, 6, 14, 2), stem_dim=128, drop_path=0.6),
    "xlarge": Config(dims=(192, 384, 768, 1536), depths=(2, 6, 14, 2), stem_dim=192),
    # For 32 x 32. The last map is 4 x 4: a single window, where block and grid would be the same.
    "compact": Config(
        dims=(32, 96, 192),
        depths=(1, 1, 1),
        stem_dim=32,
        strides=(1, 2, 2),
        window=4,
        parts=(MAXVIT_PARTS, MAXVIT_PARTS, (MBConv, BlockAttention)),
        expansion=2,
        activation=F.gelu,  # the exact one, which CPUs compute in half the time of the tanh form
        num_classes=10,
        image_size=32,
    ),
}


def maxvit(name, num_classes=None, image_size=None, in_channels=3):
    """Build a named network: tiny to xlarge for images of 224 x 224, the others for 32 x 32.

    `image_size` in pixels scales the windows, so that their number stays the same; other sizes may
    still be classified. ValueError for an unknown name or a window that is not whole.
    """
    if name not in CONFIGS:
        raise ValueError(f"no network is called {name!r}; choose one of {', '.join(CONFIGS)}")
    config = replace(CONFIGS[name], in_channels=in_channels)
    if num_classes is not None:
        config = replace(config, num_classes=num_classes)
    if image_size is not None:
        config = with_image_size(config, image_size)
    return MaxViT(config)
