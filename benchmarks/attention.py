"""Time MaxViT-T with plain and with fused attention, interleaved in one process: is fused faster?

    python benchmarks/attention.py [--batch 8] [--rounds 6]

Plain is what minimaxvit/attention.py does; fused is PyTorch's scaled_dot_product_attention with the
bias as its mask, of four axes, without which it would be slow. Evaluation and training, fp32 and
bf16: a number above 1 means that fused takes longer. The record goes to benchmarks/results/.
"""

import argparse
import itertools
import json
import shlex
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from einops import rearrange
from forward import RESULTS, run_once
from freshness import NETWORK, hashes

from minimaxvit import RelativeAttention, maxvit
from minimaxvit.atomic_write import atomic_write
from minimaxvit.training.allocator import keep_memory


def fused_forward(self, x):
    """What `RelativeAttention.forward` computes, by PyTorch's fused function."""
    projected = self.query(x), self.key(x), self.value(x)
    pattern, d = "b n t (heads d) -> (b n) heads t d", self.head_dim
    query, key, value = (rearrange(each, pattern, d=d) for each in projected)
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=self.bias()[None])
    return self.output(rearrange(out, "(b n) heads t d -> b n t (heads d)", b=x.shape[0]))


FORWARDS = {"plain": RelativeAttention.forward, "fused": fused_forward}


def measure(training, bf16, options):
    """Median seconds of each, from rounds that time both."""
    model, images = maxvit("tiny").train(training), torch.randn(options.batch, 3, 224, 224)
    times = {name: [] for name in FORWARDS}
    for number, name in itertools.product(range(options.rounds + 1), FORWARDS):
        RelativeAttention.forward = FORWARDS[name]
        started = time.perf_counter()
        run_once(model, images, training, bf16)
        if number:  # the first round warms up
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    keep_memory()
    rows = []
    for training, bf16 in itertools.product((False, True), repeat=2):
        medians = measure(training, bf16, options)
        case = f"{'training' if training else 'evaluation'}, {'bf16' if bf16 else 'fp32'}"
        ratio = medians["fused"] / medians["plain"]
        rows.append({"case": case, "median_seconds": medians, "fused_over_plain": ratio})
        print(f"{case}: fused takes {ratio:.2f} times as long as plain", flush=True)
    record = {
        "command": shlex.join(["python", *sys.argv]),
        "batch": options.batch,
        "rounds": options.rounds,
        "rows": rows,
        "machine": {
            "processor": torch.cpu.get_capabilities().get("cpu_name"),
            "threads": torch.get_num_threads(),
        },
        "files": hashes(*NETWORK, "benchmarks/attention.py"),
        "versions": {"torch": torch.__version__},
    }
    text = json.dumps(record, indent=1)
    atomic_write(RESULTS / "attention.json", lambda partial: partial.write_text(text))


if __name__ == "__main__":
    main()
