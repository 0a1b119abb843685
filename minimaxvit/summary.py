"""What a network consists of: its stages, maps, parameters and multiply-adds."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from .configs import CONFIGS
from .network import MaxViT

# The paper's FLOPs at 224 x 224, in 1e9; it counts a multiply-add once. For base, its table 10 says
# 24.2 and its table 2 says 23.4.
PAPER = {"tiny": 5.6, "small": 11.7, "base": 24.2, "large": 43.9, "xlarge": 97.8}


def count(config, h, w):
    """Count stage by stage, without computing anything: rows of (name, map, parameters, macs).

    `map` is the (c, h, w) that a stage hands on; `macs` are the multiply-adds of convolutions,
    linear layers and attention for one image of h by w. Raises ValueError if that does not fit.
    """
    with torch.device("meta"):  # shapes alone
        model = MaxViT(config).eval()
        model.check_size(h, w)
        state = (torch.empty(1, config.in_channels, h, w),)
    rows = []
    stages = {f"stage {number}": stage for number, stage in enumerate(model.stages, start=1)}
    for name, parts in {"stem": [model.stem], **stages, "head": [model.head]}.items():
        with FlopCounterMode(display=False) as counter:
            for part in parts:
                state = part.run(*state)
        parameters = sum(p.numel() for part in parts for p in part.parameters())
        rows.append((name, tuple(state[0].shape[1:]), parameters, counter.get_total_flops() // 2))
    return rows


def summary(name, config, h, w):
    """Write the counts of a network as a table, and compare them with the paper's figure."""
    rows = count(config, h, w)
    window = f"window {config.window}, " if config.window else ""
    lines = [f"{name}: images of {h} x {w}, {window}{config.num_classes} classes"]
    lines.append(f"{'':8} {'blocks':>6}  {'map':<16} {'parameters':>12} {'multiply-adds':>15}")
    depths = {f"stage {number}": depth for number, depth in enumerate(config.depths, start=1)}
    for stage, shape, parameters, macs in rows:
        size = " x ".join(map(str, shape))
        lines.append(
            f"{stage:8} {depths.get(stage, ''):>6}  {size:<16} {parameters:>12,} {macs:>15,}"
        )
    parameters, macs = sum(row[2] for row in rows), sum(row[3] for row in rows)
    lines.append(f"{'total':8} {'':>6}  {'':<16} {parameters:>12,} {macs:>15,}")
    if CONFIGS.get(name) == config and name in PAPER and (h, w) == (224, 224):
        off = macs / (PAPER[name] * 1e9) - 1
        lines.append(
            f"The paper says {PAPER[name]} G multiply-adds; this count is {off:+.1%} off. It counts"
            "\nall convolutions, linear layers and attention products, but no norms, activations or"
            "\npooling, and the paper rounds its figure."
        )
        if name == "base":
            lines.append("The paper's table 2 says 23.4 G for the same network.")
    return "\n".join(lines)
