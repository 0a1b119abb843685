"""The names of a network's layers, and the images that the network accepts."""

from dataclasses import replace
from itertools import islice
from math import ceil, gcd

import torch


class Sizes:
    """Names the layers of a network and checks images; a mixin of `MaxViT`."""

    def layers(self):
        """Name the parts in order, by stage and block: {"stem": ..., "1.1 MBConv": ...}."""
        named = {"stem": self.stem}
        for stage, blocks in enumerate(self.stages, start=1):
            for block, parts in enumerate(blocks, start=1):
                for part in parts.parts:
                    name = f"{stage}.{block} {type(part).__name__}"
                    while name in named:
                        name += ", again"
                    named[name] = part
        return named

    def check_images(self, images):
        """Raise ValueError unless `images` are what `forward` takes."""
        self.check_form(images)
        self.check_size(*images.shape[2:])

    def check_form(self, images):
        """Raise ValueError unless `images` are what `forward` takes, but for their size."""
        weight = next(self.parameters())
        if not isinstance(images, torch.Tensor):
            raise ValueError(f"expected images in a tensor, got a {type(images).__name__}")
        channels = self.config.in_channels
        if images.ndim != 4 or images.shape[1] != channels:
            raise ValueError(
                f"expected images of shape (b, {channels}, h, w), got {tuple(images.shape)}"
            )
        if not images.is_floating_point():
            raise ValueError(
                f"expected images in -1..1, got {images.dtype}: minimaxvit.datasets.normalize "
                f"makes them of bytes"
            )
        if images.dtype != weight.dtype and not torch.is_autocast_enabled(images.device.type):
            raise ValueError(
                f"the images are {images.dtype} and the weights {weight.dtype}: convert either "
                f"with .to()"
            )
        if images.device != weight.device:
            raise ValueError(
                f"the images are on {images.device} and the weights on {weight.device}: move "
                f"either with .to()"
            )

    def check_size(self, h, w):
        """Raise ValueError, naming the nearest sizes that work, unless images of h by w fit."""
        sides = [h, w]
        for name, part in [*self.layers().items(), ("head", self.head)]:
            if why := part.misfit(sides[0]) or part.misfit(sides[1]):
                raise ValueError(
                    f"images of {h} x {w} give {name} a map of {sides[0]} x {sides[1]} tokens, "
                    f"which {why}; the nearest sizes that work are height {self._nearest(h)} and "
                    f"width {self._nearest(w)}"
                )
            sides = [ceil(side / part.stride) for side in sides]

    def fits(self, side):
        """Whether images may have this height or width."""
        for part in [*self.layers().values(), self.head]:
            if part.misfit(side):
                return False
            side = ceil(side / part.stride)
        return True

    def _nearest(self, side):
        below, above = range(side, 0, -1), range(max(side, 1), side + 2 * self.config.image_size)
        nearest = {each for sides in (below, above) for each in islice(filter(self.fits, sides), 1)}
        return " or ".join(map(str, sorted(nearest))) or "unknown"


# Fields of a configuration that count something, for all stages or for each.
COUNTS = ("dims", "depths", "stem_dim", "stem_stride", "strides", "window", "expansion")


def check_numbers(config):
    """Raise ValueError, naming it, for a number that no network can have."""
    if not isinstance(config.depths, tuple) or not config.depths:
        raise ValueError(f"depths must be a tuple with one entry per stage, got {config.depths!r}")
    for name in (*COUNTS, "in_channels", "num_classes", "image_size"):
        value = getattr(config, name)
        for each in value if isinstance(value, tuple) else (value,):
            if each is None and name == "window":
                continue
            if isinstance(each, bool) or not isinstance(each, int) or each < 1:
                several = " or a tuple of such" if name in COUNTS else ""
                raise ValueError(
                    f"{name} must be a whole number of at least 1{several}, got {value!r}"
                )
    if not 0 <= config.drop_path < 1:
        raise ValueError(f"drop_path must be from 0 up to but not 1, got {config.drop_path}")


def with_image_size(config, image_size):
    """Scale the windows of a configuration, so that there are as many as before per image.

    Raises ValueError if `image_size`, in pixels, would make a window that is not whole.
    """
    several, old = isinstance(config.window, tuple), config.image_size
    windows = config.window if several else (config.window,)
    step = old // gcd(old, *filter(None, windows))
    if not isinstance(image_size, int) or image_size < 1 or image_size % step:
        raise ValueError(f"image_size must be a multiple of {step}, got {image_size!r}")
    windows = tuple(window and window * image_size // old for window in windows)
    return replace(config, window=windows if several else windows[0], image_size=image_size)
