"""The whole network: stem, stages, head, and the configurations that have a name."""

from dataclasses import dataclass, replace
from itertools import count, islice
from math import ceil

import torch
from torch import nn

from .block import MAX_SA, MAXVIT, MaxViTBlock
from .compact import COMPACT_PARTS, FullStem
from .mbconv import BatchNorm, Conv3x3, gelu


class Stem(nn.Module):
    """Halve the picture, rounding up, and make first features: (b, 3, h, w) -> (b, c, h', w')."""

    stride = 2

    def __init__(self, channels):
        super().__init__()
        self.conv1 = Conv3x3(3, channels, stride=2)
        self.norm = BatchNorm(channels)
        self.conv2 = Conv3x3(channels, channels)

    def forward(self, images):
        return self.conv2(gelu(self.norm(self.conv1(images))))


@dataclass(frozen=True)
class MaxViTConfig:
    """Which network it is. `blocks` (MaxViT blocks), `widths` and `parts` have one entry a stage.

    `window` is also the side of the grid; block i of n, from 0, drops at `drop_rate` * i / n.
    """

    blocks: tuple
    widths: tuple
    stem_width: int
    window: int = 7
    parts: tuple = 4 * (MAXVIT,)
    expansion: int = 4
    drop_rate: float = 0.0
    num_classes: int = 1000
    stem: type = Stem

    def __post_init__(self):
        if not len(self.blocks) == len(self.widths) == len(self.parts) or min(self.blocks) < 1:
            raise ValueError(f"blocks, widths and parts need one entry a stage each: {self}")

    @property
    def stride(self):
        """How many pixels a side a token of the last map stands for."""
        return self.stem.stride * 2 ** len(self.blocks)


CONFIGS = {
    "tiny": MaxViTConfig((2, 2, 5, 2), (64, 128, 256, 512), 64, drop_rate=0.2),
    "small": MaxViTConfig((2, 2, 5, 2), (96, 192, 384, 768), 64, drop_rate=0.3),
    "base": MaxViTConfig((2, 6, 14, 2), (96, 192, 384, 768), 64, drop_rate=0.4),
    "large": MaxViTConfig((2, 6, 14, 2), (128, 256, 512, 1024), 128, drop_rate=0.6),
    "xlarge": MaxViTConfig((2, 6, 14, 2), (192, 384, 768, 1536), 192),  # its rate is unpublished
    "compact": MaxViTConfig((1, 1, 1), (64, 96, 288), 24, 4, COMPACT_PARTS, 1, 0.0, 10, FullStem),
}


def maxvit(name, num_classes=None, image_size=None):
    """Build a named network: tiny to xlarge for pictures of 224 pixels, compact for 32.

    `image_size` in pixels sets the window so that it covers the last map of such pictures; others
    may still be classified. Raises ValueError for an unknown name or a size that does not divide.
    """
    if name not in CONFIGS:
        raise ValueError(f"no MaxViT is called {name!r}; choose one of {', '.join(CONFIGS)}")
    config = CONFIGS[name]
    if num_classes is not None:
        config = replace(config, num_classes=num_classes)
    if image_size is not None:
        if image_size < 1 or image_size % config.stride:
            raise ValueError(f"image_size must be a multiple of {config.stride}, got {image_size}")
        config = replace(config, window=image_size // config.stride)
    return MaxViT(config)


class Head(nn.Module):
    """Average the last map and decide. (b, c, h, w) -> (b, num_classes), logits."""

    def __init__(self, channels, num_classes):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.hidden = nn.Linear(channels, channels)
        self.classify = nn.Linear(channels, num_classes)

    def forward(self, x):
        pooled = self.norm(x.mean((2, 3)))  # (b, c, h, w) -> (b, c)
        return self.classify(torch.tanh(self.hidden(pooled)))


class MaxViT(nn.Module):
    """Classify pictures of any size whose maps divide by the window, square or not.

    Shapes: (b, 3, h, w) -> (b, num_classes), logits. ValueError for other sizes. Source: paper 3.3.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.stem = config.stem(config.stem_width)
        self.stages = nn.ModuleList()
        channels, built = config.stem_width, 0
        for blocks, width, parts in zip(config.blocks, config.widths, config.parts, strict=True):
            self.stages.append(nn.Sequential())
            for stride in (2, *[1] * (blocks - 1)):
                drop_rate = config.drop_rate * built / sum(config.blocks)
                options = (config.window, stride, parts, config.expansion, drop_rate)
                self.stages[-1].append(MaxViTBlock(channels, width, *options))
                channels, built = width, built + 1
        self.head = Head(channels, config.num_classes)
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        self.to(memory_format=torch.channels_last)

    def forward(self, images):
        return self.head(self.features(images)[-1])

    def features(self, images):
        """Give the map of each stage, finest first, for dense tasks, each half the one before."""
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"expected pictures of shape (b, 3, h, w), got {tuple(images.shape)}")
        self.check_size(*images.shape[2:])
        x, maps = self.stem(images.contiguous(memory_format=torch.channels_last)), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def check_size(self, h, w):
        """Raise ValueError, naming the nearest sizes that work, unless pictures of h by w fit."""
        window = self.config.window
        for (stage, down), (_, across) in zip(self._attended(h), self._attended(w), strict=True):
            if min(down, across) < 1 or down % window or across % window:
                raise ValueError(
                    f"pictures of {h} x {w} give stage {stage} a map of {down} x {across} tokens, "
                    f"which does not divide by window {window}; the nearest sizes that work are "
                    f"height {self._nearest(h)} and width {self._nearest(w)}"
                )

    def _attended(self, side):
        """Tell (stage, tokens a side) of every map that attention sees, for a picture side."""
        config, tokens = self.config, ceil(side / self.config.stem.stride)
        for stage, (blocks, parts) in enumerate(zip(config.blocks, config.parts, strict=True), 1):
            attends = [part in MAX_SA for part in parts]
            first = 0 if all(attends) else attends.index(False)  # here the map is halved
            if first:
                yield stage, tokens
            tokens = ceil(tokens / 2)
            if any(attends if blocks > 1 else attends[first:]):
                yield stage, tokens

    def _nearest(self, side):
        def fits(side):
            return not any(tokens % self.config.window for _, tokens in self._attended(side))

        below, above = filter(fits, range(side, 0, -1)), filter(fits, count(max(side, 1)))
        return " or ".join(map(str, sorted({*islice(below, 1), next(above)})))

    def parameter_groups(self, weight_decay=0.05):
        """Split the parameters for an optimiser: no decay on norms, biases and bias tables."""
        decayed = {"params": [p for p in self.parameters() if p.ndim in (2, 4)]}  # linear, conv
        spared = {"params": [p for p in self.parameters() if p.ndim in (1, 3)]}  # 3: bias tables
        return [decayed | {"weight_decay": weight_decay}, spared | {"weight_decay": 0.0}]
