"""The names of a network's layers, and the image sizes that the network accepts."""

from dataclasses import replace
from itertools import islice
from math import ceil, gcd


class Sizes:
    """Names the layers of a network and checks image sizes; a mixin of `MaxViT`."""

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

    def _nearest(self, side):
        def fits(side):
            for part in [*self.layers().values(), self.head]:
                if part.misfit(side):
                    return False
                side = ceil(side / part.stride)
            return True

        below, above = range(side, 0, -1), range(max(side, 1), side + 2 * self.config.image_size)
        nearest = {
            fitting for sides in (below, above) for fitting in islice(filter(fits, sides), 1)
        }
        return " or ".join(map(str, sorted(nearest))) or "unknown"


def with_image_size(config, image_size):
    """Scale the windows of a configuration, so that there are as many as before per image.

    Raises ValueError if `image_size`, in pixels, would make a window that is not whole.
    """
    several, old = isinstance(config.window, tuple), config.image_size
    windows = config.window if several else (config.window,)
    step = old // gcd(old, *filter(None, windows))
    if image_size < 1 or image_size % step:
        raise ValueError(f"image_size must be a multiple of {step}, got {image_size}")
    windows = tuple(window and window * image_size // old for window in windows)
    return replace(config, window=windows if several else windows[0], image_size=image_size)
