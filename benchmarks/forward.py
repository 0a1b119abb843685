"""Time MaxViT-T against timm and torchvision, interleaved in one process, and write the ratios.

    python benchmarks/forward.py [--batch 8] [--rounds 10] [--training] [--bf16]

Each round times every network once, so that a machine that slows down slows all of them. What
counts is the ratio of medians; absolute times are those of the machine named beside them.
"""

import argparse
import json
import platform
import shlex
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch
from freshness import NETWORK, hashes
from peers import import_torchvision

from minimaxvit import maxvit
from minimaxvit.atomic_write import atomic_write
from minimaxvit.training.allocator import keep_memory

RESULTS = Path(__file__).parent / "results"


def networks():
    """Build tiny for 1000 classes three times: ours, timm's official one and torchvision's."""
    torchvision = import_torchvision()
    import timm  # imports torchvision, too

    return {
        "minimaxvit": maxvit("tiny"),
        "timm": timm.create_model("maxvit_tiny_tf_224"),
        "torchvision": torchvision.models.maxvit_t(),
    }


def run_once(model, images, training, bf16):
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        if not training:
            with torch.inference_mode():
                return model(images)
        logits = model(images)
    logits.float().square().mean().backward()
    model.zero_grad()


def measure(options):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    models = networks()
    for model in models.values():
        model.to(device, memory_format=torch.channels_last).train(options.training)
    images = torch.randn(options.batch, 3, 224, 224, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    times = {name: [] for name in models}
    for round_number in range(options.rounds + 1):
        for name, model in models.items():
            started = time.perf_counter()
            run_once(model, images, options.training, options.bf16)
            if device == "cuda":
                torch.cuda.synchronize()
            if round_number:  # the first round warms up
                times[name].append(time.perf_counter() - started)
    return device, {name: statistics.median(seconds) for name, seconds in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--training", action="store_true")
    parser.add_argument("--bf16", action="store_true")
    options = parser.parse_args()
    kept = keep_memory()
    device, medians = measure(options)
    ratios = {name: seconds / medians["minimaxvit"] for name, seconds in medians.items()}
    for name, seconds in medians.items():
        print(f"{name:12} {options.batch / seconds:7.2f} images/s, {ratios[name]:.2f} x our time")
    name = "-".join(["forward", device] + ["training"] * options.training + ["bf16"] * options.bf16)
    record = {
        "command": shlex.join(["python", *sys.argv]),
        "batch": options.batch,
        "rounds": options.rounds,
        "median_seconds": medians,
        "time_over_ours": ratios,
        "allocator_kept": kept,
        "machine": {
            "processor": torch.cpu.get_capabilities().get("cpu_name"),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
            "system": platform.platform(),
        },
        "files": hashes(*NETWORK, "benchmarks/forward.py"),
        "versions": {name: version(name) for name in ("torch", "timm", "torchvision")},
    }
    text = json.dumps(record, indent=1)
    atomic_write(RESULTS / f"{name}.json", lambda partial: partial.write_text(text + "\n"))


if __name__ == "__main__":
    main()
