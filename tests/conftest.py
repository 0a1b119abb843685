"""What the tests need before anything else is imported, and whether they may be skipped."""

import os

from browser import chromium, open_page  # noqa: F401, fixtures for all
from explored import odd, small  # noqa: F401
from hypothesis import settings

from benchmarks.import_torchvision import import_torchvision

import_torchvision()  # the first time may take some help, which timm does not give it
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


def pytest_sessionfinish(session):
    """Fail if MINIMAXVIT_NO_SKIPS is set and anything but a GPU test was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("MINIMAXVIT_NO_SKIPS") or reporter is None:
        return
    skipped = [
        each for each in reporter.stats.get("skipped", []) if "no GPU" not in str(each.longrepr)
    ]
    if skipped:
        print(f"\n{len(skipped)} tests were skipped, which MINIMAXVIT_NO_SKIPS forbids")
        session.exitstatus = 1
