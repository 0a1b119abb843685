"""Write the records under benchmarks/results/ into the README, between its two markers.

python benchmarks/tables.py
"""

import json
import textwrap
from pathlib import Path
from statistics import mean

from minimaxvit.seeing.comparison import by_name, spread

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
    """What the commands of some records alone do not tell, each said once."""
    told = dict.fromkeys(record["remark"] for record in kept if "remark" in record)
    return "".join("\n" + paragraph(remark)[:-1] for remark in told)


def budgets():
    """The compact network on growing budgets."""
    runs = records("compact-*.json")
    runs.sort(key=lambda run: (run["data"]["source"], run["result"]["seconds"]))
    rows = [
        [
            run["data"]["source"],
            f"{run['result']['seconds'] / 60:.1f} min",
            f"{run['result']['accuracy']:.1%}",
            f"{run['result']['accuracy_with_flip']:.1%}",
            f"`{run['command']}`",
        ]
        for run in runs
    ]
    parameters = {run["parameters"] for run in runs}
    assert len(parameters) == 1, f"records of different networks: {parameters}"
    text = paragraph(
        f"The compact network ({parameters.pop():,} parameters) on two cores of an AMD EPYC ",
        "(Zen 4) in bf16, one seed each. The time is that of training; with flip: each test ",
        "picture is judged together with its mirror image.",
    )
    header = ["pictures", "time", "test accuracy", "with flip", "command"]
    return text + table(header, rows) + remarks(runs)


def networks():
    """Networks of our parts at equal time, a table for each time."""
    kept = sorted(records("equal-time-networks-*.json"), key=lambda one: one["seconds"])
    text = paragraph(
        "Networks of the same stem, head and recipe, each trained on ",
        f"{kept[0]['rows'][0]['source']} for as many steps as fit into a time on *one* core of ",
        "that machine; mean and standard deviation of the seeds, test pictures, in percent.",
    )
    return text + "\n".join(map(at_equal_time, kept))


def at_equal_time(kept):
    with_flip = by_name(kept["rows"], "accuracy_with_flip")
    rows = [
        [
            name,
            f"{of(kept, name)[0]['parameters']:,}",
            f"{mean(row['epochs'] for row in of(kept, name)):.1f}",
            spread(accuracies),
            spread(with_flip[name]),
        ]
        for name, accuracies in by_name(kept["rows"]).items()
    ]
    seeds = len({row["seed"] for row in kept["rows"]})
    text = paragraph(f"{kept['seconds']:.0f} s, {seeds} seeds (`{kept['command']}`):")
    header = ["network", "parameters", "epochs", "accuracy", "with flip"]
    return text + table(header, rows) + remarks([kept])


def tricks():
    """The recipe and one change each."""
    (kept,) = records("equal-time-tricks-*.json")
    rows = [
        [
            name,
            f"{of(kept, name)[0]['parameters']:,}",
            f"{mean(row['epochs'] for row in of(kept, name)):.1f}",
            spread(accuracies),
        ]
        for name, accuracies in by_name(kept["rows"]).items()
    ]
    text = paragraph(
        "What was tried: the recipe, and one change each, for as many steps as fit into ",
        f"{kept['seconds']:.0f} s of one core, judged on {kept['rows'][0]['pictures']}; one seed ",
        f"a row, so a gap of a point may be chance (`{kept['command']}`):",
    )
    return text + table(["", "parameters", "epochs", "accuracy"], rows) + remarks([kept])


def of(kept, name):
    return [row for row in kept["rows"] if row["name"] == name]


def speeds():
    """MaxViT-T beside its peers."""
    rows = [
        [
            f"{run['batch'] / run['median_seconds']['minimaxvit']:.1f} pictures/s",
            f"{run['time_over_ours']['timm']:.2f}",
            f"{run['time_over_ours']['torchvision']:.2f}",
            f"`{run['command']}`",
        ]
        for run in sorted(records("forward-*.json"), key=lambda run: run["command"])
    ]
    text = paragraph(
        "MaxViT-T at 224 x 224 in fp32 on the same machine, batch of 8, medians of interleaved ",
        "rounds. A number above 1 says that the other takes longer than ours; torchvision's ",
        "network differs (exact GELU, other padding and shortcuts):",
    )
    return text + table(
        ["ours", "timm's time / ours", "torchvision's time / ours", "command"], rows
    )


# Each table, and the records it needs.
TABLES = {
    budgets: "compact-*.json",
    networks: "equal-time-networks-*.json",
    tricks: "equal-time-tricks-*.json",
    speeds: "forward-*.json",
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
