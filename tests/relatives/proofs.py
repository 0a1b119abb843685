"""What each relative must prove of a part: what it reads, what it costs, how it follows shifts."""

import torch
from helpers import measured_reads, noise, said_reads
from torch.utils.flop_counter import FlopCounterMode


def reads(part, dim, h, w, k=0):
    """Which places read which, after asserting that gradients and steps say the same."""
    extra = (noise(1, k, dim, seed=2),) if k else ()
    said = said_reads(part.steps(), h, w, k)

    def run(*state):  # one random mix of the channels of each place, as all would take long
        x, *others = part.run(*state)
        x = torch.einsum("bchw,c->bhw", x, noise(x.shape[1], seed=3))[:, None]
        return x, *((y @ noise(y.shape[2], seed=3))[..., None] for y in others)

    assert torch.equal(measured_reads(run, noise(1, dim, h, w), *extra), said)
    return said


def multiply_adds(part, dim, h, w):
    """Multiply-adds of one map, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        part(noise(1, dim, h, w))
    return counter.get_total_flops() // 2


def follows(part, dim, h, w, down, right):
    """Whether shifting the map around shifts the output as far, and changes nothing else."""
    x = noise(1, dim, h, w)
    moved = part(x.roll((down, right), (2, 3)))
    return torch.allclose(moved, part(x).roll((down, right), (2, 3)), rtol=0, atol=1e-9)
