"""Write the records under benchmarks/results/ into the README, between its two markers.

python benchmarks/tables.py
"""

import json
import textwrap
from math import log
from pathlib import Path
from statistics import mean

import rumor
import torch

from minimaxvit import CONFIGS, MaxViTBlock
from minimaxvit.experiments.modernize import NETWORKS
from minimaxvit.seeing import (
    depth_to_whole,
    draw_trade_off,
    layer_multiply_adds,
    multiply_adds,
    reach,
)
from minimaxvit.seeing.draw.comparison import by_name, places, pooled_deviation, spread

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


def modernized():
    """From a ResNet's block to ConvNeXt's."""
    (kept,) = records("modernize.json")
    accuracies = by_name(kept["rows"])
    rows = [
        [
            name,
            f"{of(kept, name)[0]['parameters']:,}",
            f"{sum(multiply_adds(config, 32, 32).values()) / 1e6:.1f} M",
            spread(accuracies[name]),
        ]
        for name, config in NETWORKS.items()
        if name in accuracies
    ]
    text = paragraph(
        "From a ResNet's block to ConvNeXt's, one change a step; stem, downsampling, widths and ",
        f"depths are the same in all rows: {kept['steps']:,} steps on {kept['train_size']:,} ",
        f"training images of {kept['rows'][0]['source']}, test images, {seeds(kept)} ",
        f"(`{kept['command']}`):",
    )
    return (
        text + table(["block", "parameters", "multiply-adds", "accuracy"], rows) + remarks([kept])
    )


def epochs_of(kept, name):
    return f"{mean(row['epochs'] for row in of(kept, name)):.1f}"


def seeds(kept):
    count = len({row["seed"] for row in kept["rows"]})
    return f"{count} seed{'s' * (count != 1)}"


def of(kept, name):
    return [row for row in kept["rows"] if row["name"] == name]


def family():
    """MaxViT's relatives at equal epochs and at equal time, as far as they have been trained."""
    by_steps, by_time = record_of("family-*-steps.json"), record_of("family-*-s.json")
    kept = [one for one in (by_time, by_steps) if one.get("rows")]
    if not kept:
        return ""
    rows = [row for one in kept for row in one["rows"]]
    names = dict.fromkeys(name for one in kept for name in by_name(one["rows"]))  # best first
    cells = [
        [
            name,
            f"{next(row['parameters'] for row in rows if row['name'] == name):,}",
            f"{sum(multiply_adds(CONFIGS[name], 32, 32).values()) / 1e6:.1f} M",
            f"{step_time(by_time, name):,.0f} ms" if name in by_time.get("steps", ()) else "–",
            *how_far(first_stage(name)),
            *reached_by(by_steps, name),
            *reached_by(by_time, name),
        ]
        for name in names
    ]
    later = [name for name in names if attends_later(name)]
    text = paragraph(
        "MaxViT's relatives, each with compact's recipe, which was tuned for compact alone, on ",
        f"one core of an {processors(rows)} in bf16; test images of {rows[0]['source']}, in ",
        "percent, mean and standard deviation of the seeds. ",
        *map(in_words, kept),
        "*Step* is that time, divided by the steps that were counted to fit. " if by_time else "",
        "Networks that share a *place* cannot be told apart: their means differ by no more than ",
        "twice the standard deviation that luck gives to such a difference. *Reads* counts the ",
        "tokens of a 16 x 16 map on which one token depends at most after one layer, the widest ",
        "of the first stage; ",
        "*whole map* counts the layers of that stage until it depends on all 256. Gates such as ",
        "squeeze-excitation are left out. ",
        f"Only a later stage attends in {', '.join(later)}." if later else "",
    )
    header = ["network", "parameters", "multiply-adds", "step", "reads", "whole map"]
    header += ["equal epochs", "place", "equal time", "place"]
    picture = ""
    if by_time.get("rows"):
        picture = f"\n![{family_chart(by_time)[1]}]({chart_of(by_time)})\n"
    return text + table(header, cells) + picture + remarks(kept)


def record_of(pattern):
    """The one record that fits the pattern, or an empty one."""
    return next(iter(records(pattern)), {})


def in_words(kept):
    """What is equal for all networks of a record, and what its seeds can tell."""
    if "seconds" in kept:
        equal = f"*Equal time*: as many steps, on all images, as fit into {kept['seconds']} s"
    else:
        equal = f"*Equal epochs*: {kept['rows'][0]['epochs']:.1f}, of {kept['train_size']:,} images"
    deviation = pooled_deviation(by_name(kept["rows"]))
    if deviation is None:
        chance = "one seed each tells no standard deviation, and so no place"
    else:
        chance = f"{seeds(kept)}, pooled deviation {100 * deviation:.1f} points"
    return f"{equal} ({chance}; `{kept['command']}`). "


def step_time(kept, name):
    return 1000 * kept["seconds"] / kept["steps"][name]  # ms


def reached_by(kept, name):
    """Accuracy and place of one network in a record."""
    accuracies = by_name(kept.get("rows", []))
    if name not in accuracies:
        return "–", "–"
    return spread(accuracies[name]), places(accuracies, pooled_deviation(accuracies)).get(name, "–")


def first_stage(name):
    """The layers of one block of the first stage, for a map of 16 x 16 that keeps its size."""
    stage = CONFIGS[name].stage(0)
    parts = MaxViTBlock(stage["dims"], stage["dims"], **stage).parts
    if any(part.misfit(16) for part in parts):  # weights are of one map: that of 16 x 16, then
        parts = MaxViTBlock(stage["dims"], stage["dims"], **stage | {"window": 16}).parts
    return parts


def how_far(layers):
    """How many tokens one token reads by the widest layer, and how many layers see everything."""
    widest = max(reach([each], 16, 16, gates=False).flatten(2).sum(2).max() for each in layers)
    depth = depth_to_whole(layers, 16, 16)
    return str(int(widest)), f"{depth} layer{'s' * (depth != 1)}"


def attends_later(name):
    first, *others = CONFIGS[name].parts
    attending = [any(hasattr(part, "scores") for part in stage) for stage in (first, *others)]
    return any(attending) and not attending[0]


def family_chart(kept):
    """Accuracy at equal time against the time of a step: the figure, and its alt text."""
    accuracies = by_name(kept["rows"])
    ranks = places(accuracies, pooled_deviation(accuracies))
    first = [name for name, place in ranks.items() if place.split()[0] == "1"]
    best = f"most accurate: {' and '.join(first)}" if first else "one seed, so no order is sure"
    title = f"Each network trained for {kept['seconds']} s on one core; {best}"
    return draw_trade_off({name: step_time(kept, name) for name in accuracies}, accuracies, title)


def chart_of(kept):
    return f"benchmarks/results/family-{kept['seconds']}-s.png"


def layers():
    """What one layer of each relative hears of a rumor, and how its cost grows with the map."""
    kept = record_of("rumor.json")
    accuracies = by_name([{**row, "result": row} for row in kept["rows"]])
    rows, behind = [], []
    for name, costs in growth().items():
        told = ["–", "–", "–"]
        if name in accuracies:
            bound, reached = next(
                (row["bound"], row["reach"]) for row in kept["rows"] if row["name"] == name
            )
            told = [f"{reached:.0%}", f"{100 * bound:.1f}", spread(accuracies[name])]
            if min(accuracies[name]) < bound - NEAR:
                behind.append(name)
        exponent = f"{log(costs[-1] / costs[-2]) / log(4):.2f}" if costs else "–"
        millions = [f"{cost / 1e6:,.1f}" for cost in costs] or len(SIDES) * ["–"]
        rows.append([name, *told, *millions, exponent])
    met = "All that were trained come within a point of their bound"
    text = paragraph(
        "One layer of each relative, or two that belong together, with windows of 4 unless the ",
        "name says otherwise. *Reach* is the fraction of a 16 x 16 map at which a rumor can ",
        "arrive (lesson 4), *bound* the accuracy in percent that this allows, and *accuracy* the ",
        "mean and standard deviation of the seeds (`python benchmarks/rumor.py`). ",
        f"{met}, but for {'; '.join(behind)}. " if behind else f"{met}. ",
        "(XCiT and BiT hear what is far by gates, by which the whole map acts on each token.) ",
        "Beside it, millions of multiply-adds at 64 channels on maps of 8 to 64 tokens a side, ",
        "and the exponent of the last doubling: 1 is linear in the number of tokens, 2 quadratic. ",
        "(ConViT needs a square number of heads, which 64 channels do not make.)",
    )
    header = ["layers", "reach", "bound", "accuracy", *map(str, SIDES), "exponent"]
    return text + table(header, rows) + remarks([kept])


SIDES = (8, 16, 32, 64)  # tokens
NEAR = 0.01  # a hundredth for lucky guesses, as in lesson 4


def growth():
    """Multiply-adds on maps of each side: {name of layers: [count]}, [] where 64 do not fit."""
    counts = {}
    for side in SIDES:
        with torch.device("meta"):
            pair = {"block, grid": rumor.OWN["block, grid"][0]}
            for name, layers in (pair | rumor.relatives(side)).items():
                built = [layer(64, rumor.WINDOW) for layer in layers if "ConViT" not in name]
                costs = [layer_multiply_adds(each, 64, side, side) for each in built]
                counts.setdefault(name, []).extend([sum(costs)] if costs else [])
    return counts


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
    family: "family-*.json",
    layers: "rumor.json",
    recipe_changes: "recipe-changes.json",
    modernized: "modernize.json",
    speeds: "peers-*.json",
}


def results():
    """Every table whose records are there, and where they come from."""
    made = filter(None, (table() for table, pattern in TABLES.items() if records(pattern)))
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
    if (kept := record_of("family-*-s.json")).get("rows"):
        family_chart(kept)[0].savefig(ROOT / chart_of(kept))


if __name__ == "__main__":
    main()
