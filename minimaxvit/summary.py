"""Tell what a network is made of: its stages, maps, parameters and multiply-adds."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from .network import CONFIGS, MaxViT

# The paper's FLOPs column at 224 x 224, in 1e9; it counts a multiply-add once. For base its table 1
# says 24.2 and table 2 says 23.4.
PAPER = {"tiny": 5.6, "small": 11.7, "base": 24.2, "large": 43.9, "xlarge": 97.8}


def count(config, h, w):
    """Count stage by stage, without computing anything: rows of (name, map, parameters, macs).

    `map` is the (c, h, w) that a stage hands on; `macs` are the multiply-adds of convolutions,
    linear layers and attention for one picture of h by w. Raises ValueError if that does not fit.
    """
    with torch.device("meta"):  # shapes alone
        model = MaxViT(config).eval()
        model.check_size(h, w)
        x = torch.empty(1, 3, h, w)
    rows = []
    stages = {f"stage {number}": stage for number, stage in enumerate(model.stages, start=1)}
    for name, modules in {"stem": [model.stem], **stages, "head": [model.head]}.items():
        with FlopCounterMode(display=False) as counter:
            for module in modules:
                x = module(x)
        parameters = sum(p.numel() for module in modules for p in module.parameters())
        rows.append((name, tuple(x.shape[1:]), parameters, counter.get_total_flops() // 2))
    return rows


def summary(name, config, h, w):
    """Put the counts of a network into a table, with the paper's figure beside them."""
    rows = count(config, h, w)
    lines = [f"{name}: pictures of {h} x {w}, window {config.window}, {config.num_classes} classes"]
    lines.append(f"{'':8} {'blocks':>6}  {'map':<16} {'parameters':>12} {'multiply-adds':>15}")
    blocks = {f"stage {number}": count for number, count in enumerate(config.blocks, start=1)}
    for stage, shape, parameters, macs in rows:
        size = " x ".join(map(str, shape))
        lines.append(
            f"{stage:8} {blocks.get(stage, ''):>6}  {size:<16} {parameters:>12,} {macs:>15,}"
        )
    parameters, macs = sum(row[2] for row in rows), sum(row[3] for row in rows)
    lines.append(f"{'all':8} {'':>6}  {'':<16} {parameters:>12,} {macs:>15,}")
    if CONFIGS.get(name) == config and name in PAPER and (h, w) == (224, 224):
        off = macs / (PAPER[name] * 1e9) - 1
        lines.append(
            f"The paper says {PAPER[name]} G multiply-adds: this count is {off:+.1%} off it. It is"
            "\nof convolutions, linear layers and attention products alone; norms, biases,"
            "\nactivations and pooling are left out, and the paper's figure is rounded."
        )
        if name == "base":
            lines.append("The paper's table 2 says 23.4 G for the same network.")
    return "\n".join(lines)
