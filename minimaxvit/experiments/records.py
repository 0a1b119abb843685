"""The records of long runs that lessons show."""

import json
from pathlib import Path

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def read_record(name):
    """Read a record that a benchmark has written, so that a lesson shows what was measured.

    `name` is that of a file in benchmarks/results/, without ".json". Returns what json.load does.
    Raises FileNotFoundError if it is not there, as when the package alone was installed.
    """
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        raise FileNotFoundError(f"no record {path}: lessons need the whole repository for it")
    return json.loads(path.read_text())
