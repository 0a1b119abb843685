"""The README's table of peers: the time they take, divided by ours."""

from readme import paragraph, records, remarks, table


def speeds():
    """MaxViT-T, and a small network, beside their peers."""
    return "\n".join(map(beside_peers, records("peers-*.json")))


def beside_peers(kept):
    machine = kept["machine"]
    where = machine["gpu"] or f"{machine['threads']} threads of an {machine['processor']}"
    chart = f"benchmarks/results/peers-{'cuda' if machine['gpu'] else 'cpu'}.png"
    rows = []
    for cell in kept["cells"]:
        ours = cell["median_seconds"]["minimaxvit"]
        lowest = min(cell["peak_memory_mb"].values())
        rows.append(
            [
                cell["cell"],
                f"{cell['batch'] / ours:,.1f}",
                *(ratio_of(cell, name) for name in PEERS),
                f"{cell['fraction_of_limit']:.0%}",
                f"{cell['peak_memory_mb']['minimaxvit'] / lowest:.2f}",
            ]
        )
    text = paragraph(
        "MaxViT-T at 224 x 224, and a network of two blocks (0.75 M parameters) at 32 x 32, on ",
        f"{where}: the time of each peer divided by ours, median of {kept['rounds']} interleaved ",
        "rounds, with the quartiles of single rounds; above 1, the peer takes longer. At 224, ",
        "timm's is the same network, and the other two have the exact GELU, which takes a CPU ",
        "less time than the official tanh form; at 32, only timm's has the tanh form. vit-pytorch ",
        "has no shortcut where it strides. *Limit* is how near our multiply-adds come to what ",
        "matrix products reach there; *memory* is our peak divided by the lowest ",
        f"(`{kept['command']}`):",
    )
    header = ["pixels, mode", "images/s, ours", *PEERS, "limit", "memory"]
    return f"![{chart_text(kept)}]({chart})\n\n" + text + table(header, rows) + remarks([kept])


PEERS = ("timm", "torchvision", "vit-pytorch")


def ratio_of(cell, name):
    low, high = cell["quartiles_of_rounds"][name]
    return f"{cell['time_over_ours'][name]:.2f} ({low:.2f} to {high:.2f})"


def chart_text(kept):
    """What the chart shows, in words."""
    cells = [
        f"{cell['cell']}: "
        + ", ".join(f"{name} {cell['time_over_ours'][name]:.2f}" for name in PEERS)
        for cell in kept["cells"]
    ]
    return f"Time of each peer divided by ours. {'; '.join(cells)}."
