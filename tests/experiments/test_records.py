"""A lesson reads what was measured, or says what is missing."""

import json

import pytest

from minimaxvit.experiments import records
from minimaxvit.experiments.records import read_record


def test_a_record_is_the_file_of_that_name():
    record = read_record("rumor")
    assert record["command"] == "python benchmarks/rumor.py"
    assert record == json.loads((records.RESULTS / "rumor.json").read_text())


def test_without_the_repository_it_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "RESULTS", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"rumor\.json: lessons need the whole repository"):
        read_record("rumor")
