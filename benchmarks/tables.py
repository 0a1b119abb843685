"""Write the records under benchmarks/results/ into the README, between its two markers.

python benchmarks/tables.py
"""

from compact_tables import budgets, networks, on_a_gpu, recipe_changes
from family_tables import chart_of, family, family_chart, modernized
from layer_table import layers
from peer_table import speeds
from readme import ROOT, record_of, records

BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"

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
