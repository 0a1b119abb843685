"""Time MaxViT against timm's, torchvision's and vit-pytorch's, interleaved in one process.

    python benchmarks/peers.py [--rounds 8] [--cells 224 ...]

Cells: evaluation and training, fp32 and bf16, MaxViT-T at 224 and a network of two blocks at 32.
Each round times every network once, so that a machine that slows down slows all of them; what
counts is the ratio of medians. Stochastic depth is 0.2 in all that have it, and 0 at 32. "ours, as
fit trains" gives a share of the batch to each thread, as minimaxvit.training does on CPUs. Peak
memory is measured in a process for each network, and the limit of matrix products in the same run.
The record goes to benchmarks/results/peers-DEVICE.json, and a chart beside it.
"""

import argparse
import importlib
import json
import platform
import shlex
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from freshness import NETWORK, hashes
from import_torchvision import import_torchvision

from minimaxvit import CONFIGS, MAXVIT_PARTS, MaxViT, MaxViTConfig
from minimaxvit.atomic_write import atomic_write
from minimaxvit.training.allocator import keep_memory
from minimaxvit.training.device import DataParallelGradients, DeviceSettings

RESULTS = Path(__file__).parent / "results"
OURS, SHARED = "minimaxvit", "minimaxvit, as fit trains"
CELLS = {  # by name: (pixels of a side, training, bf16, batch)
    "224 evaluation fp32": (224, False, False, 4),
    "224 evaluation bf16": (224, False, True, 8),
    "224 training fp32": (224, True, False, 4),
    "224 training bf16": (224, True, True, 8),
    "32 evaluation fp32": (32, False, False, 256),
    "32 evaluation bf16": (32, False, True, 256),
    "32 training fp32": (32, True, False, 256),
    "32 training bf16": (32, True, True, 256),
}
# Two stages of one block each, on maps of 8 x 8 and 4 x 4 tokens, for images of 32 x 32.
SMALL = MaxViTConfig(
    dims=(64, 128),
    depths=(1, 1),
    stem_dim=64,
    window=4,
    parts=2 * (MAXVIT_PARTS,),
    activation=F.gelu,  # as in compact, torchvision and vit-pytorch; timm's is the tanh form
    num_classes=10,
    image_size=32,
)


def build(name, side):
    """Build one of the networks: MaxViT-T for 1000 classes at 224, the small one for 10 at 32."""
    config = CONFIGS["tiny"] if side == 224 else SMALL
    shape = {"num_classes": config.num_classes}
    if name in (OURS, SHARED):
        return MaxViT(replace(config, drop_path=0.2 if side == 224 else 0.0))
    torchvision = import_torchvision()  # which the others import, too
    if name == "vit-pytorch":
        max_vit = importlib.import_module("vit_pytorch.max_vit")
        return max_vit.MaxViT(
            dim=config.dims[0],
            depth=config.depths,
            dim_conv_stem=config.stem_dim,
            window_size=config.window,
            dropout=0.0,
            **shape,
        )
    if name == "torchvision":
        return torchvision.models.maxvit.MaxVit(
            input_size=(side, side),
            stem_channels=config.stem_dim,
            partition_size=config.window,
            block_channels=list(config.dims),
            block_layers=list(config.depths),
            head_dim=32,
            stochastic_depth_prob=0.2 if side == 224 else 0.0,
            **shape,
        )
    maxxvit = importlib.import_module("timm.models.maxxvit")
    known = maxxvit.model_cfgs["maxvit_tiny_tf"]
    known = replace(
        known,
        embed_dim=config.dims,
        depths=config.depths,
        block_type=("M",) * len(config.dims),
        stem_width=config.stem_dim,
        head_hidden_size=config.dims[-1],
    )
    known = replace(
        known,
        transformer_cfg=replace(known.transformer_cfg, window_size=(config.window, config.window)),
    )
    drop = {"drop_path_rate": 0.2 if side == 224 else 0.0}
    return maxxvit.MaxxVit(known, img_size=side, **shape, **drop)


class Case:
    """A network ready to be timed in a cell."""

    def __init__(self, name, cell, device):
        side, self.training, self.bf16, batch = CELLS[cell]
        torch.manual_seed(0)
        self.model = build(name, side).to(device, memory_format=torch.channels_last)
        self.model.train(self.training)
        images = torch.randn(batch, 3, side, side, device=device)
        self.images = images.contiguous(memory_format=torch.channels_last)
        self.labels = torch.randint(10, (batch,), device=device)
        self.gradients = None
        if name == SHARED:
            threads = torch.get_num_threads()
            settings = DeviceSettings("cpu", self.bf16, workers=threads)
            self.gradients = DataParallelGradients(self.model, settings)
            torch.set_num_threads(threads)

    def run(self):
        if self.gradients is not None:
            return self.gradients(F.cross_entropy, self.images, self.labels)
        with torch.autocast(self.images.device.type, torch.bfloat16, enabled=self.bf16):
            if not self.training:
                with torch.inference_mode():
                    return self.model(self.images)
            logits = self.model(self.images)
        F.cross_entropy(logits.float(), self.labels).backward()
        self.model.zero_grad()


def networks(cell, device):
    names = [OURS, "timm", "torchvision", "vit-pytorch"]
    side, training = CELLS[cell][:2]
    return [*names, SHARED] if training and device == "cpu" and side == 32 else names


def seconds(run, device):
    started = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def time_cell(cell, device, rounds):
    """Times of each network, {name: [seconds of a round]}, after one round to warm up."""
    cases = {name: Case(name, cell, device) for name in networks(cell, device)}
    times = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, case in cases.items():
            spent = seconds(case.run, device)
            if number:
                times[name].append(spent)
    return times


def matrix_products(device, bf16, n=3072):
    """The most multiply-adds a second that matrix products reach here, in 1e9."""
    one, other = torch.randn(2, n, n, device=device, dtype=torch.bfloat16 if bf16 else None)
    spent = min(seconds(lambda: one @ other, device) for _ in range(6))
    return n**3 / spent / 1e9


def multiply_adds(cell):
    """Multiply-adds of our network for the batch of a cell, backward counted twice, in 1e9."""
    from minimaxvit.summary import count

    side, training, _, batch = CELLS[cell]
    config = CONFIGS["tiny"] if side == 224 else SMALL
    macs = sum(row[3] for row in count(config, side, side))
    return macs * batch * (3 if training else 1) / 1e9


def print_peak(name, cell):
    """Print the most memory, in MB, that two runs take beyond what was there before them."""
    keep_memory()
    case = Case(name, cell, "cuda" if torch.cuda.is_available() else "cpu")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        case.run(), case.run()
        return print(torch.cuda.max_memory_allocated() / 1e6)
    Path("/proc/self/clear_refs").write_text("5")  # from now on the peak counts
    before = memory("VmRSS")
    case.run(), case.run()
    print((memory("VmHWM") - before) / 1e3)


def memory(kind):
    """Read what Linux says of this process, in kB: VmRSS is what it has, VmHWM the most it had."""
    return int(Path("/proc/self/status").read_text().split(f"{kind}:")[1].split()[0])


def peak_memory(name, cell):
    command = [sys.executable, __file__, "--peak", name, "--cells", cell]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(ran.stdout.split()[-1])


def measure(cell, device, rounds):
    times = time_cell(cell, device, rounds)
    medians = {name: statistics.median(spent) for name, spent in times.items()}
    paired = {
        name: sorted(one / ours for one, ours in zip(spent, times[OURS], strict=True))
        for name, spent in times.items()
    }
    quarter = rounds // 4
    limit = matrix_products(device, CELLS[cell][2])
    return {
        "cell": cell,
        "batch": CELLS[cell][3],
        "median_seconds": medians,
        "time_over_ours": {name: one / medians[OURS] for name, one in medians.items()},
        "quartiles_of_rounds": {
            name: [ratios[quarter], ratios[-1 - quarter]] for name, ratios in paired.items()
        },
        "peak_memory_mb": {name: peak_memory(name, cell) for name in times},
        "matrix_products_gmac_s": limit,
        "fraction_of_limit": multiply_adds(cell) / medians[OURS] / limit,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--cells", nargs="+", default=list(CELLS), choices=CELLS, metavar="CELL")
    parser.add_argument("--peak", help="print the peak memory of this network in the first cell")
    options = parser.parse_args()
    if options.peak:
        return print_peak(options.peak, options.cells[0])
    kept, device = keep_memory(), "cuda" if torch.cuda.is_available() else "cpu"
    cells = []
    for cell in options.cells:
        cells.append(measure(cell, device, options.rounds))
        ratios = cells[-1]["time_over_ours"]
        print(f"{cell:20}", *(f"{name} {ratio:.2f}" for name, ratio in ratios.items()), sep="  ")
    record = {
        "command": shlex.join(["python", "benchmarks/peers.py", *sys.argv[1:]]),
        "rounds": options.rounds,
        "cells": cells,
        "allocator_kept": kept,
        "machine": {
            "processor": torch.cpu.get_capabilities().get("cpu_name"),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
            "system": platform.platform(),
        },
        "files": hashes(*NETWORK, "minimaxvit/training/device.py", "benchmarks/peers.py"),
        "versions": {
            name: version(name) for name in ("torch", "timm", "torchvision", "vit-pytorch")
        },
    }
    text = json.dumps(record, indent=1)
    path = RESULTS / f"peers-{device}.json"
    atomic_write(path, lambda partial: partial.write_text(text + "\n"))
    draw(cells, path.with_suffix(".png"))


def draw(cells, path):
    """Draw the time of each peer divided by ours, one group of bars per cell."""
    names = ["timm", "torchvision", "vit-pytorch"]
    with plt.rc_context({"font.size": 13}):
        figure, axes = plt.subplots(figsize=(8, 0.75 * len(cells) + 1.2), layout="constrained")
        for place, name in enumerate(names):
            ratios = [cell["time_over_ours"][name] for cell in cells]
            rows = [row + 0.27 * (place - 1) for row in range(len(cells))]
            bars = axes.barh(rows, ratios, 0.25, label=name)
            axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=11)
    axes.axvline(1, color="black")
    axes.set_yticks(range(len(cells)), [cell["cell"] for cell in cells])
    axes.invert_yaxis()
    axes.set_xlabel("time of a peer / our time (above 1, ours is faster)")
    axes.set_xlim(0, 1.15 * max(max(cell["time_over_ours"].values()) for cell in cells))
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
