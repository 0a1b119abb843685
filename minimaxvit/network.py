"""The whole network: stem, stages and head, put together as a configuration says."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from .block import MAXVIT_PARTS, MaxViTBlock
from .layers import BatchNorm, Conv3x3, gelu
from .mbconv import Downsample
from .pixels import normalize
from .sizes import Sizes, check_numbers
from .steps import Attend, Part, Taps, build


class Stem(Part):
    """Make first features: (b, in_channels, h, w) -> (b, c, ceil(h / stride), ceil(w / stride))."""

    def __init__(self, stem_dim, stem_stride=2, activation=gelu, in_channels=3):
        super().__init__()
        self.stride, self.activation = stem_stride, activation
        self.conv1 = Conv3x3(in_channels, stem_dim, stem_stride)
        self.norm = BatchNorm(stem_dim)
        self.conv2 = Conv3x3(stem_dim, stem_dim)

    def forward(self, images):
        return self.conv2(self.activation(self.norm(self.conv1(images))))

    def steps(self):
        return Taps(self.conv1), Taps(self.conv2)


class Head(Part):
    """Average the last map and classify: (b, c, h, w) -> (b, num_classes), logits."""

    def __init__(self, dim, num_classes):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.hidden = nn.Linear(dim, dim)
        self.classify = nn.Linear(dim, num_classes)

    def forward(self, x):
        pooled = self.norm(x.mean((2, 3)))  # (b, c, h, w) -> (b, c)
        return self.classify(torch.tanh(self.hidden(pooled)))

    def steps(self):
        return (Attend(lambda numbers, extra: (torch.zeros(1, 1).long(), numbers.view(1, -1))),)


@dataclass(frozen=True, kw_only=True)
class MaxViTConfig:
    """What defines a network. Tuples have one entry per stage; depths count blocks.

    The window is also the side of the grid. Block i of n, from 0, has drop path drop_path * i / n.
    """

    dims: tuple
    depths: tuple
    stem_dim: int
    stem_stride: int = 2
    strides: int | tuple = 2
    window: int | tuple | None = 7
    parts: tuple = 4 * (MAXVIT_PARTS,)
    downsample: type | tuple = Downsample
    stem: type = Stem
    head: type = Head
    expansion: int = 4
    drop_path: float = 0.0
    activation: Callable = gelu
    normalize: Callable = normalize
    in_channels: int = 3
    num_classes: int = 1000
    image_size: int = 224

    def __post_init__(self):
        check_numbers(self)
        for name, value in vars(self).items():
            if isinstance(value, tuple | list) and len(value) != len(self.depths):
                raise ValueError(f"{name} needs one entry per stage, as depths={self.depths} has")

    def stage(self, i):
        """Say what holds for a stage, counted from 0: {"dims": 64, "window": 7, ...}."""
        return {name: v[i] if isinstance(v, tuple) else v for name, v in vars(self).items()}


class MaxViT(Sizes, nn.Module):
    """Classify images, square or not, of any size whose maps are divisible by the window.

    Shapes: (b, in_channels, h, w) -> (b, num_classes), logits, or ValueError. Source: paper 3.3.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.stem = build(config.stem, vars(config))
        self.stages = nn.ModuleList(nn.Sequential() for _ in config.depths)
        in_dim, built = config.stem_dim, 0
        for i, stage in enumerate(self.stages):
            options = config.stage(i)
            dim, stride = options["dims"], options["strides"]
            for _ in range(config.depths[i]):
                options["drop_path"] = config.drop_path * built / sum(config.depths)
                stage.append(MaxViTBlock(in_dim, dim, stride, **options))
                in_dim, stride, built = dim, 1, built + 1
        self.head = build(config.head, vars(config) | {"dim": in_dim})
        self.apply(_initialize)
        for part in (*self.layers().values(), self.head):
            part.initialize()
        self.to(memory_format=torch.channels_last)

    def forward(self, images):
        return self.head.run(*self._run_stages(images)[-1])[0]

    def features(self, images):
        """Return the map of each stage, finest first, for dense tasks."""
        return [x for x, *_ in self._run_stages(images)]

    def _run_stages(self, images):
        self.check_images(images)
        state, states = self.stem.run(images.contiguous(memory_format=torch.channels_last)), []
        for stage in self.stages:
            for block in stage:
                state = block.run(*state)
            states.append(state)
        return states


def _initialize(module):
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
