"""The Python in the README runs as it stands there."""

import re
from pathlib import Path

import pytest
from PIL import Image
from test_official_weights import hub, publish  # noqa: F401

from minimaxvit.seeing import photograph

TEXT = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = [
    block
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    if "onnx" not in block  # tests/test_export.py runs that one
]


def test_there_are_blocks_to_run():
    assert len(BLOCKS) >= 4


@pytest.mark.parametrize("block", BLOCKS, ids=[block.splitlines()[-1][:30] for block in BLOCKS])
def test_a_block_runs(block, hub, tmp_path, monkeypatch, capsys):  # noqa: F811
    publish(hub[0], "tiny")
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photograph()).save("photo.jpg")
    exec(compile(block, "README.md", "exec"), {})
    if "print(" in block:
        assert capsys.readouterr().out.strip()
