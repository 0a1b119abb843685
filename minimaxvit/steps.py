"""What a part of a network declares: what fits it, and which places its output depends on.

It declares its steps once; path counts, rollout and the explorer read them. Places are the tokens
of a map, row by row, and after them extra tokens, such as a class token.
"""

from collections import namedtuple
from inspect import signature

from torch import nn

Taps = namedtuple("Taps", "module")  # each token reads the window of a convolution or a pool
Append = namedtuple("Append", "count")  # so many extra tokens begin, which have read nothing yet
Add = namedtuple("Add", "branches")  # the sum of branches, each a tuple of steps; () is a shortcut
Gate = namedtuple("Gate", "")  # each token is multiplied by something that the whole map decides
# Queries read keys, by attention weights or, where there are none, all alike. `groups` is called
# with the numbers of the tokens, (1, h, w, 1), and of the extra tokens, (k,), and returns queries
# (n, t), the places that are kept, and keys (n, s): -1 is no key, -2 padding that takes weight.
Attend = namedtuple("Attend", "groups")


class Part(nn.Module):
    """A step of a network, (b, c, h, w) -> (b, c', h', w'); stem and head are parts, too.

    Its constructor is given what it names of in_dim, dim, stride and the configuration's fields. A
    part that names stride resamples: it can change resolution and channels. One that attends
    has `scores(x, *extra)`: scores (b, heads, n, t, s), and the bias that is added to them.
    """

    stride = 1  # by which the sides of its map shrink, rounding up
    divisor = 1  # by which the sides of the map that it gets must divide

    def steps(self):
        raise NotImplementedError(f"{type(self).__name__} must say its steps: see minimaxvit.steps")

    def initialize(self):
        """Set what must not start as N(0, 0.02), as all linear and convolution weights do."""

    def misfit(self, side):
        """Say what is wrong with a side of the map that it gets; None if nothing is."""
        return f"is not divisible by {self.divisor}" if side < 1 or side % self.divisor else None

    def extra_repr(self):
        return f"stride={self.stride}" if self.stride > 1 else ""

    def run(self, x, *extra):
        """Act on a map and on extra tokens (b, k, c) beside it, which most parts just pass on."""
        return self(x), *extra


def resamples(part):
    return "stride" in signature(part).parameters


def build(part, options):
    return part(**{name: options[name] for name in signature(part).parameters if name in options})
