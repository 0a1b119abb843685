"""The rumour: an experiment in which learning itself shows who can talk to whom.

On a map of grey noise one token carries one of four colours, and *every* token must say which. A
token can only guess what has not reached it, so no training lifts accuracy above `bound`.
"""

import torch
import torch.nn.functional as F
from torch import nn

from ..block import BlockAttention
from ..training import rate

COLOURS = 4
CHANNELS = 32
NOISE = 0.5  # the deviation of the grey that every token carries
HIGHEST_RATE = 3e-3  # of learning


class Shifted(nn.Module):
    """Block attention whose windows are moved by half a window, as Swin moves them.

    A frame of zeros around the map stands for Swin's roll and mask: it has nothing to tell.
    Shapes: (b, c, h, w) -> (b, c, h, w). ValueError for an odd window, which has no half. Source:
    Liu et al. 2021, "Swin Transformer", section 3.2.
    """

    def __init__(self, channels, window):
        super().__init__()
        if window % 2:
            raise ValueError(f"shifted windows need an even side to be halved, got {window}")
        self.half = window // 2
        self.attention = BlockAttention(channels, window)

    def forward(self, x):
        x = self.attention(F.pad(x, 4 * [self.half]))  # (b, c, h + window, w + window)
        return x[:, :, self.half : -self.half, self.half : -self.half]


class Neighbours(nn.Module):
    """A residual 3x3 convolution; MBConv's squeeze-excitation would tell the whole map at once."""

    def __init__(self, channels, window):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return x + F.gelu(self.conv(x))


class Listeners(nn.Module):
    """Tokens, a pixel each, that pass on what they heard through `layers` and then name a colour.

    Each of `layers` is a class that is built with channels and `window`, such as `GridAttention`.
    Shapes: (b, 1 + COLOURS, h, w) -> (b, COLOURS, h, w), logits.
    """

    def __init__(self, layers, window):
        super().__init__()
        self.embed = nn.Conv2d(1 + COLOURS, CHANNELS, 1)
        self.layers = nn.Sequential(*(layer(CHANNELS, window) for layer in layers))
        self.name = nn.Conv2d(CHANNELS, COLOURS, 1)

    def forward(self, maps):
        return self.name(self.layers(self.embed(maps)))


def fresh(layers, window, seed):
    """Build `Listeners` from a seed; whoever calls keeps the chances they had."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Listeners(layers, window)


def begin(colours, places, side, generator):
    """Draw maps of grey noise in which the token at each place carries its colour.

    Shapes: colours (b,), places (b,), counted row by row -> (b, 1 + COLOURS, side, side).
    """
    b = len(colours)
    maps = torch.zeros(b, 1 + COLOURS, side * side)
    maps[:, 0] = NOISE * torch.randn(b, side * side, generator=generator)
    maps[torch.arange(b), 1 + colours, places] = 1
    return maps.unflatten(2, (side, side))


def spread_rumour(layers, side, window, steps, seed=0, batch=64):
    """Train `Listeners` on maps of side x side, each with a rumour of its own; give them back."""
    listeners = fresh(layers, window, seed)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(listeners.parameters(), fused=True)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = HIGHEST_RATE * rate(step, steps, warm_up=0.1)
        colours = torch.randint(COLOURS, (batch,), generator=generator)
        places = torch.randint(side * side, (batch,), generator=generator)
        logits = listeners(begin(colours, places, side, generator))  # (b, COLOURS, h, w)
        wanted = colours.view(-1, 1, 1).expand(-1, side, side)
        loss = F.cross_entropy(logits, wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return listeners.eval()


@torch.inference_mode()
def heard(listeners, side, place, rumours=200, seed=1):
    """Measure how often each token names the colour that stood at `place`: (side, side), 0 to 1."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.arange(rumours) % COLOURS
    maps = begin(colours, torch.full((rumours,), place), side, generator)
    named = listeners(maps).argmax(1)  # (rumours, h, w)
    return (named == colours.view(-1, 1, 1)).float().mean(0)


@torch.inference_mode()
def accuracy(listeners, side, rumours=2000, seed=1):
    """Measure how often tokens name the colour, whatever token it was told to: 0 to 1."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.arange(rumours) % COLOURS  # all equally often: whoever guesses gets a quarter
    places = torch.randint(side * side, (rumours,), generator=generator)
    named = [
        listeners(begin(some, there, side, generator)).argmax(1)
        for some, there in zip(colours.split(200), places.split(200), strict=True)
    ]
    return (torch.cat(named) == colours.view(-1, 1, 1)).float().mean().item()


def reached(layers, side, window, place):
    """Tell which tokens can hear of `place` at all: bool (side, side), from exact gradients.

    A fresh network in float64; the derivative of what a token says by what stands at `place` is
    exactly zero if nothing leads there.
    """
    listeners = fresh(layers, window, seed=0).double().eval()
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(1, 1 + COLOURS, side, side, generator=generator, dtype=torch.float64)
    whisper = torch.zeros_like(maps).flatten(2)
    whisper[..., place] = 1
    _, change = torch.func.jvp(listeners, (maps,), (whisper.view_as(maps),))
    return change[0].abs().sum(0) > 0


def bound(share):
    """Say how accurate tokens can be of whom a `share` has heard: they know, the others guess."""
    return 1 / COLOURS + (1 - 1 / COLOURS) * share


def mean_reach(layers, side, window):
    """Say which share of the map a rumour reaches, on average over where it begins."""
    reach = [reached(layers, side, window, place) for place in range(side * side)]
    return torch.stack(reach).float().mean().item()
