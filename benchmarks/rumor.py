"""Spread the rumor through layers of several kinds, and hold what is heard against its bound.

    python benchmarks/rumor.py

Rows already in benchmarks/results/rumor.json are not measured again, unless their steps changed.
"""

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
import torch.nn.functional as F
from freshness import alike

from minimaxvit import BlockAttention, GridAttention, MaxViTBlock
from minimaxvit.atomic_write import atomic_write
from minimaxvit.experiments.rumor import (
    Neighbors,
    Shifted,
    accuracy,
    begin,
    bound,
    heard,
    mean_reach,
    reached,
    spread_rumor,
)
from minimaxvit.relatives import (
    ColumnAttention,
    ConvNeXtBlock,
    FilterTokenizer,
    GatedPositionalAttention,
    GlobalAttention,
    GlobalRelativeAttention,
    GroupNormUnit,
    LargeKernelAttention,
    MixerLayer,
    NeighborhoodAttention,
    Projector,
    RowAttention,
    SpatialReductionAttention,
    StandAloneAttention,
    SummedAxialAttention,
    TokenTransformer,
    UnfoldedAttention,
    XCiTLayer,
)
from minimaxvit.training.allocator import keep_memory
from minimaxvit.training.device import choose_device

RESULTS = Path(__file__).parent / "results" / "rumor.json"
WINDOW = 4
SEEDS = (0, 1, 2)


def everyone(channels, window, side):
    """Attention among all tokens: one block as large as the map."""
    return BlockAttention(channels, side)


def chain(*parts, window=WINDOW):
    """Make a layer of a relative's parts, run as in a network: extra tokens travel beside the map.

    No part gets positions that it does not have: the colored token is known by what it is.
    """

    def build(channels, _):
        block = MaxViTBlock(channels, channels, parts=parts, window=window)
        for part in block.parts:
            part.initialize()
        return block

    return (build,)


def relatives(side):
    """One layer of each relative, or two that belong together: {name: layers}.

    What is left out would repeat a case, or the map would hear nothing: Swin's windows reach what
    "block, shifted block" does, DeiT and CeiT attend as the ViT does, the convolutions of ResNet
    and the hybrid are two of 3 x 3, and only CaiT's class token listens. Stems and patch merging
    change the map, and Video Swin wants frames.
    """
    return {
        "column, row (axial)": chain(ColumnAttention, RowAttention),
        "row and column summed": chain(SummedAxialAttention),
        "two neighborhoods of 7 x 7 (NAT)": 2 * chain(NeighborhoodAttention, window=7),
        "sliding window of 7 x 7 (SASA)": chain(StandAloneAttention, window=7),
        "spatial reduction (PVT)": chain(SpatialReductionAttention),
        "block, spatial reduction (Twins)": chain(BlockAttention, SpatialReductionAttention),
        "global attention (ViT)": chain(GlobalAttention),
        "relative attention (CoAtNet)": chain(GlobalRelativeAttention, window=side),
        "gated attention (ConViT)": chain(GatedPositionalAttention),
        "unfolded attention (MobileViT)": chain(UnfoldedAttention),
        "16 visual tokens": chain(FilterTokenizer, TokenTransformer, Projector),
        "cross-covariance (XCiT)": chain(XCiTLayer),
        "token mixing (MLP-Mixer)": chain(MixerLayer, window=side),
        "large kernel (VAN)": chain(LargeKernelAttention),
        "7 x 7 convolution (ConvNeXt)": chain(ConvNeXtBlock),
        "unit with group norm (BiT)": chain(GroupNormUnit),
    }


# Layers, side of the map, steps, maps per step.
OWN = {
    "block, grid": ((BlockAttention, GridAttention), 16, 1000, 64),
    "grid, block": ((GridAttention, BlockAttention), 16, 1000, 64),
    "block, block": ((BlockAttention, BlockAttention), 16, 1000, 64),
    "grid, grid": ((GridAttention, GridAttention), 16, 1000, 64),
    "block, shifted block": ((BlockAttention, Shifted), 16, 1000, 64),
    "two convolutions": ((Neighbors, Neighbors), 16, 1000, 64),
    "full attention": ((partial(everyone, side=16),), 16, 2000, 64),
    "block, grid on 32 x 32": ((BlockAttention, GridAttention), 32, 10_000, 16),
}
# Steps; with a third of them or so, at least one seed of each stays behind its bound.
SLOW = {
    "relative attention (CoAtNet)": 3000,
    "token mixing (MLP-Mixer)": 3000,
    "spatial reduction (PVT)": 30_000,
    "block, spatial reduction (Twins)": 10_000,
}
RELATIVES = {name: (layers, 16, SLOW.get(name, 1000), 16) for name, layers in relatives(16).items()}
CASES = OWN | RELATIVES


def first_losses(name):
    """Train a case for ten steps on one thread: how far off a token is then, in the mean."""
    layers, side, _, _ = CASES[name]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        listeners = spread_rumor(layers, side, WINDOW, steps=10, batch=8)
        colors = torch.arange(8) % 4
        maps = begin(colors, torch.arange(8), side, torch.Generator().manual_seed(1))
        wanted = colors.view(-1, 1, 1).expand(-1, side, side)
        return [F.cross_entropy(listeners(maps), wanted).item()]
    finally:
        torch.set_num_threads(threads)


def measure(name, seed):
    """Train once and return a row: what was heard, what could be, and how far the map agrees."""
    torch.set_num_threads(1)
    keep_memory()
    layers, side, steps, batch = CASES[name]
    started = time.perf_counter()
    listeners = spread_rumor(layers, side, WINDOW, steps, seed, batch)
    seconds = time.perf_counter() - started
    share = mean_reach(layers, side, WINDOW)
    middle = side // 2 * side + side // 2
    told, can = heard(listeners, side, middle), reached(layers, side, WINDOW, middle)
    return {
        "name": name,
        "seed": seed,
        "side": side,
        "window": WINDOW,
        "steps": steps,
        "seconds": seconds,
        "reach": share,
        "bound": bound(share),
        "accuracy": accuracy(listeners, side),
        # From the middle of the map: the worst of those reached, the best of the others.
        "least_reached": told[can].min().item(),
        "most_unreached": told[~can].max().item() if (~can).any() else None,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--processes", type=int, default=2, help="how many run side by side")
    options = parser.parse_args()
    kept = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"rows": []}
    losses = {name: first_losses(name) for name in CASES}
    for name, earlier in kept.get("first_losses", {}).items():
        if not alike(earlier, losses[name], tolerance=1e-5):
            sys.exit(f"{RESULTS} is older than the code: {name} differs; remove it, measure again")
    kept |= {
        "command": "python benchmarks/rumor.py",  # also in a later sitting
        "machine": choose_device("cpu", bf16=False).describe(),
        "torch": torch.__version__,
        "first_losses": losses,
    }
    kept["rows"] = [row for row in kept["rows"] if still_a_case(row)]
    done = {(row["name"], row["seed"]) for row in kept["rows"]}
    todo = [(name, seed) for seed in SEEDS for name in CASES if (name, seed) not in done]
    todo.sort(key=lambda each: CASES[each[0]][2], reverse=True)  # the longest first
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        jobs = [pool.submit(measure, *each) for each in todo]
        for job in as_completed(jobs):
            keep(kept, job.result())


def still_a_case(row):
    """Whether a row is of a case that is there, trained for as many steps as it would be today."""
    return row["name"] in CASES and row["steps"] == CASES[row["name"]][2]


def keep(kept, row):
    kept["rows"] = sorted([*kept["rows"], row], key=order)
    text = json.dumps(kept, indent=1)
    atomic_write(RESULTS, lambda partial: partial.write_text(text))
    print(
        f"{row['name']}, seed {row['seed']}: {row['accuracy']:.3f}, bound {row['bound']:.3f}, "
        f"{row['steps']} steps in {row['seconds']:.0f} s",
        flush=True,
    )


def order(row):
    return list(CASES).index(row["name"]), row["seed"]


if __name__ == "__main__":
    main()
