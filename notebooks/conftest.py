"""A lesson that takes much longer than it promises fails when nbval runs it."""

import re
from collections import Counter
from pathlib import Path

import nbformat

# What a lesson says of its code, and the seconds after which that is no longer true. They are
# generous, since two lessons share two cores, each with a kernel that starts.
PROMISES = {
    "in seconds": 60,
    "in half a minute": 90,
    "in less than a minute": 150,
    "in about a minute": 180,
}
spent = Counter()


def promised(path):
    """The seconds that the code of a lesson may take; None for one that makes no promise."""
    text = nbformat.read(path, as_version=4).cells[0].source
    said = re.search(r"the code runs (in [a-z ]+)\.", text)
    return PROMISES[said[1]] if said else None


def pytest_runtest_logreport(report):
    spent[report.nodeid.split("::")[0]] += report.duration


def late(spent):
    """Say which lessons took longer than they promise."""
    for name, seconds in sorted(spent.items()):
        path = Path(__file__).parent / Path(name).name
        limit = promised(path) if path.suffix == ".ipynb" and path.is_file() else None
        if limit and seconds > limit:
            yield f"{path.name} took {seconds:.0f} s, and promises less than {limit} s"


def pytest_sessionfinish(session):
    if hasattr(session.config, "workerinput"):  # the one that hands out the work sees all reports
        return
    for line in late(spent):
        print(f"\n{line}")
        session.exitstatus = 1
