"""What the tables of the README are made of: records, paragraphs, lines of Markdown."""

import json
import textwrap
from pathlib import Path
from statistics import mean

ROOT = Path(__file__).parent.parent


def records(pattern):
    paths = (ROOT / "benchmarks" / "results").glob(pattern)
    return [json.loads(path.read_text()) for path in paths]


def record_of(pattern):
    """The one record that fits the pattern, or an empty one."""
    return next(iter(records(pattern)), {})


def remarks(kept):
    """What the commands alone do not say of some records, each said once."""
    told = dict.fromkeys(record["remark"] for record in kept if "remark" in record)
    return "".join("\n" + paragraph(remark)[:-1] for remark in told)


def paragraph(*parts):
    return textwrap.fill("".join(parts), 110, break_on_hyphens=False) + "\n\n"


def table(header, rows):
    """A table of Markdown; the cells of a row are texts."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def of(kept, name):
    return [row for row in kept["rows"] if row["name"] == name]


def seeds(kept):
    count = len({row["seed"] for row in kept["rows"]})
    return f"{count} seed{'s' * (count != 1)}"


def epochs_of(kept, name):
    return f"{mean(row['epochs'] for row in of(kept, name)):.1f}"


def processors(kept):
    return " or ".join(sorted({one["machine"]["processor"] for one in kept}))
