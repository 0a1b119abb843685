"""Write the records under benchmarks/results/ into the README, between its two markers.

python benchmarks/tables.py
"""

import json
import textwrap
from pathlib import Path
from statistics import mean

from minimaxvit.seeing.draw.comparison import by_name, pooled_deviation, spread

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"


def records(pattern):
    paths = (ROOT / "benchmarks" / "results").glob(pattern)
    return [json.loads(path.read_text()) for path in paths]


def paragraph(*parts):
    return textwrap.fill("".join(parts), 110, break_on_hyphens=False) + "\n\n"


def table(header, rows):
    """A table of Markdown; the cells of a row are texts."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def remarks(kept):
    """What the commands alone do not say of some records, each said once."""
    told = dict.fromkeys(record["remark"] for record in kept if "remark" in record)
    return "".join("\n" + paragraph(remark)[:-1] for remark in told)


def budgets():
    """The compact network on growing budgets."""
    runs = records("compact-*.json")
    runs.sort(key=lambda run: (run["data"]["source"], run["result"]["seconds"]))
    rows = [[run["data"]["source"], *reached(run)] for run in runs]
    parameters = {run["parameters"] for run in runs}
    assert len(parameters) == 1, f"records of different networks: {parameters}"
    text = paragraph(
        f"The compact network ({parameters.pop():,} parameters) on two cores of an ",
        f"{processors(runs)} in bf16, one seed each. The whole command includes loading, ",
        "statistics and evaluation; with flip: the logits of each test image and of its mirror ",
        "image are added.",
    )
    return text + table(["images", *REACHED], rows) + remarks(runs)


def on_a_gpu():
    """The compact network on one GPU."""
    runs = sorted(records("gpu-*.json"), key=lambda run: run["command"])
    gpus = " or ".join(sorted({run["machine"]["gpu"] for run in runs}))
    torches = " or ".join(sorted({run["versions"]["torch"] for run in runs}))
    text = paragraph(
        f"The same network on one GPU ({gpus}, torch {torches}, bf16), on ",
        f"{runs[0]['data']['source']}; each step is replayed as one CUDA graph:",
    )
    return text + table(REACHED, map(reached, runs)) + remarks(runs)


REACHED = ["whole command", "training", "epochs", "test accuracy", "with flip", "command"]


def reached(run):
    """What a run of compact took and reached: the cells under `REACHED`."""
    result = run["result"]
    return [
        minutes(result.get("whole_seconds")),
        minutes(result["seconds"]),
        f"{epochs(run):.1f}",
        f"{result['accuracy']:.1%}",
        f"{result['accuracy_with_flip']:.1%}",
        f"`{run['command']}`",
    ]


def processors(kept):
    return " or ".join(sorted({one["machine"]["processor"] for one in kept}))


def minutes(seconds):
    return "interrupted" if seconds is None else f"{seconds / 60:.1f} min"


def epochs(run):
    """How often each image was trained on, from the steps that the history counts."""
    return run["history"][-1]["step"] * run["recipe"]["batch_size"] / run["data"]["train_size"]


def networks():
    """Networks at equal time, one table for each time."""
    kept = sorted(records("equal-time-*.json"), key=lambda one: one["seconds"])
    rows = [row for one in kept for row in one["rows"]]
    text = paragraph(
        f"Networks with compact's recipe, each trained on {rows[0]['source']} for as ",
        f"many steps as fit into a time on *one* core of an {processors(rows)}: mean and ",
        "standard deviation of the seeds, test images, in percent. The recipe was tuned for ",
        "compact alone, so the others may do better than this.",
    )
    return text + "\n".join(map(at_equal_time, kept))


def at_equal_time(kept):
    with_flip = by_name(kept["rows"], "accuracy_with_flip")
    rows = [
        [
            name,
            f"{of(kept, name)[0]['parameters']:,}",
            epochs_of(kept, name),
            spread(accuracies),
            spread(with_flip[name]),
        ]
        for name, accuracies in by_name(kept["rows"]).items()
    ]
    text = paragraph(f"{kept['seconds']} s, {seeds(kept)} (`{kept['command']}`):")
    header = ["network", "parameters", "epochs", "accuracy", "with flip"]
    return text + table(header, rows) + remarks([kept])


def recipe_changes():
    """The recipe and one change each."""
    (kept,) = records("recipe-changes.json")
    rows = [
        [f"**{name}**" if name == "the recipe" else name, epochs_of(kept, name), spread(accuracies)]
        for name, accuracies in by_name(kept["rows"]).items()
    ]
    deviation = pooled_deviation(by_name(kept["rows"]))
    if deviation is None:
        chance = "one seed tells no standard deviation, so a gap of a point may be chance"
    else:
        chance = f"one standard deviation, pooled over all rows, is {100 * deviation:.1f} points"
    text = paragraph(
        f"The recipe of compact, and one change each: {kept['steps']:,} steps on a subset of ",
        f"{kept['train_size']:,} training images, measured on {kept['held_out']:,} others, ",
        f"{seeds(kept)}; {chance} (`{kept['command']}`):",
    )
    return text + table(["", "epochs", "accuracy"], rows) + remarks([kept])


def epochs_of(kept, name):
    return f"{mean(row['epochs'] for row in of(kept, name)):.1f}"


def seeds(kept):
    count = len({row["seed"] for row in kept["rows"]})
    return f"{count} seed{'s' * (count != 1)}"


def of(kept, name):
    return [row for row in kept["rows"] if row["name"] == name]


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


# Each table, and the records it needs.
TABLES = {
    budgets: "compact-*.json",
    on_a_gpu: "gpu-*.json",
    networks: "equal-time-*.json",
    recipe_changes: "recipe-changes.json",
    speeds: "peers-*.json",
}


def results():
    """Every table whose records are there, and where they come from."""
    made = [table() for table, pattern in TABLES.items() if records(pattern)]
    closing = (
        "Each table is made from the records under [`benchmarks/results/`](benchmarks/results) by\n"
        "`python benchmarks/tables.py`, and a test compares the two.\n"
    )
    return "\n".join([*made, closing])


def main():
    path = ROOT / "README.md"
    before, rest = path.read_text().split(BEGIN)
    _, after = rest.split(END)
    path.write_text(before + BEGIN + results() + END + after)


if __name__ == "__main__":
    main()
