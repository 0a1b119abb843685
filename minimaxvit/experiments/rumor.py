"""The rumor: an experiment in which training itself shows which tokens depend on which.

On a map of gray noise, one token carries one of four colors, and *every* token must predict which.
A token that the color has not reached can only guess, so no training lifts accuracy above `bound`.
"""

import torch
import torch.nn.functional as F
from torch import nn

from ..block import BlockAttention
from ..training.optimizers import lr_schedule

COLORS = 4
DIM = 32  # channels
NOISE = 0.5  # standard deviation of the gray value that every token carries
HIGHEST_LR = 3e-3


class Shifted(nn.Module):
    """Block attention whose windows are shifted by half a window, as in Swin.

    A frame of zeros around the map replaces Swin's roll and mask: nothing can be learned from it.
    Shapes: (b, c, h, w) -> (b, c, h, w). ValueError for an odd window, which has no half. Source:
    Liu et al. 2021, "Swin Transformer", section 3.2.
    """

    def __init__(self, dim, window):
        super().__init__()
        if window % 2:
            raise ValueError(f"shifted windows need an even side to be halved, got {window}")
        self.half = window // 2
        self.attention = BlockAttention(dim, window)

    def forward(self, x):
        x = self.attention(F.pad(x, 4 * [self.half]))  # (b, c, h + window, w + window)
        return x[:, :, self.half : -self.half, self.half : -self.half]


class Neighbors(nn.Module):
    """A 3x3 convolution with a shortcut; squeeze-excitation would tell the whole map at once."""

    def __init__(self, dim, window):
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x):
        return x + F.gelu(self.conv(x))


class Listeners(nn.Module):
    """Tokens, one per pixel, that pass on what they heard through `layers` and predict the color.

    Each of `layers` is built with `dim` and `window`, as `GridAttention` is.
    Shapes: (b, 1 + COLORS, h, w) -> (b, COLORS, h, w), logits.
    """

    def __init__(self, layers, window):
        super().__init__()
        self.embed = nn.Conv2d(1 + COLORS, DIM, 1)
        self.layers = nn.Sequential(*(layer(DIM, window) for layer in layers))
        self.classify = nn.Conv2d(DIM, COLORS, 1)

    def forward(self, maps):
        return self.classify(self.layers(self.embed(maps)))


def fresh(layers, window, seed):
    """Build `Listeners` from a seed, and leave the caller's random state as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Listeners(layers, window)


def begin(colors, places, side, generator):
    """Draw maps of gray noise, in each of which the token at its place carries its color.

    Shapes: colors (b,), places (b,), numbered row by row -> (b, 1 + COLORS, side, side).
    """
    b = len(colors)
    maps = torch.zeros(b, 1 + COLORS, side * side)
    maps[:, 0] = NOISE * torch.randn(b, side * side, generator=generator)
    maps[torch.arange(b), 1 + colors, places] = 1
    return maps.unflatten(2, (side, side))


def spread_rumor(layers, side, window, steps, seed=0, batch=64):
    """Train `Listeners` on maps of side x side, each with a rumor of its own, and return them."""
    listeners = fresh(layers, window, seed)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(listeners.parameters(), fused=True)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = HIGHEST_LR * lr_schedule(step, steps, warmup=0.1)
        colors = torch.randint(COLORS, (batch,), generator=generator)
        places = torch.randint(side * side, (batch,), generator=generator)
        logits = listeners(begin(colors, places, side, generator))  # (b, COLORS, h, w)
        wanted = colors.view(-1, 1, 1).expand(-1, side, side)
        loss = F.cross_entropy(logits, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return listeners.eval()


@torch.inference_mode()
def heard(listeners, side, place, rumors=200, seed=1):
    """Measure the accuracy of each token for rumors begun at `place`: (side, side), 0 to 1."""
    generator = torch.Generator().manual_seed(seed)
    colors = torch.arange(rumors) % COLORS
    maps = begin(colors, torch.full((rumors,), place), side, generator)
    predicted = listeners(maps).argmax(1)  # (rumors, h, w)
    return (predicted == colors.view(-1, 1, 1)).float().mean(0)


@torch.inference_mode()
def accuracy(listeners, side, rumors=2000, seed=1):
    """Measure the accuracy of all tokens for rumors that begin anywhere: 0 to 1."""
    generator = torch.Generator().manual_seed(seed)
    colors = torch.arange(rumors) % COLORS  # all equally often: guessing gets a quarter
    places = torch.randint(side * side, (rumors,), generator=generator)
    predicted = [
        listeners(begin(some, there, side, generator)).argmax(1)
        for some, there in zip(colors.split(200), places.split(200), strict=True)
    ]
    return (torch.cat(predicted) == colors.view(-1, 1, 1)).float().mean().item()


def reached(layers, side, window, place):
    """Say which tokens depend on `place` at all: bool (side, side), from exact gradients.

    In a new network in float64, the derivative of a token's logits with respect to the input at
    `place` is exactly zero if no path leads there.
    """
    listeners = fresh(layers, window, seed=0).double().eval()
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(1, 1 + COLORS, side, side, generator=generator, dtype=torch.float64)
    whisper = torch.zeros_like(maps).flatten(2)
    whisper[..., place] = 1
    _, change = torch.func.jvp(listeners, (maps,), (whisper.view_as(maps),))
    return change[0].abs().sum(0) > 0


def bound(fraction):
    """Say how accurate tokens can be if a `fraction` has heard: those know, the others guess."""
    return 1 / COLORS + (1 - 1 / COLORS) * fraction


def mean_reach(layers, side, window):
    """Say what fraction of the map a rumor reaches, averaged over where it begins."""
    reach = [reached(layers, side, window, place) for place in range(side * side)]
    return torch.stack(reach).float().mean().item()
