"""Tell whether a record still is of what is there.

A record of a training run holds the losses of ten fixed steps, which change when training would,
and not when a docstring does. A record of times holds a hash of each file that it depends on;
comments, docstrings and the layout of Python code do not count.
"""

import ast
import hashlib
import tempfile
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path

import torch

from minimaxvit.datasets import SHAPE_CLASSES, LabeledImages, draw_shapes
from minimaxvit.training import DeviceSettings, fit

ROOT = Path(__file__).parent.parent
STEPS, BATCH = 10, 16
# The files that decide how fast a network runs.
NETWORK = [
    f"minimaxvit/{name}.py"
    for name in "fast partition position attention layers steps mbconv block sizes network".split()
]


def first_losses(config, recipe):
    """Train a network of `config` for ten steps on sixteen shapes, in fp32 and on one thread.

    Each step is an epoch and a whole schedule of learning rates is passed through, so flips,
    translation, warm-up and decay all have their say.
    """
    images, labels = map(torch.from_numpy, draw_shapes(2 * BATCH, seed=0))
    both = LabeledImages(images, labels.long(), SHAPE_CLASSES, "shapes")
    recipe = replace(recipe, steps=STEPS, batch_size=BATCH, val_size=0, seed=0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()):
            device = DeviceSettings("cpu", bf16=False)
            record = fit(config, both[:BATCH], both[BATCH:], recipe, folder, device)
    finally:
        torch.set_num_threads(threads)
    return [epoch["loss"] for epoch in record["history"]]


def alike(losses, others, tolerance=1e-3):
    """Whether two lists of losses differ by no more than other processors make them differ."""
    return len(losses) == len(others) and all(
        abs(one - other) <= tolerance * abs(other)
        for one, other in zip(losses, others, strict=True)
    )


def hashes(*paths):
    """Hash what files do: {path: hash}, each path from the root of the repository."""
    return {path: _hash(ROOT / path) for path in paths}


def changed(files):
    """Name the files of a record, {path: hash}, that do something else now, or are gone."""
    return [
        path
        for path, known in files.items()
        if not (ROOT / path).is_file() or _hash(ROOT / path) != known
    ]


def _hash(path):
    content = path.read_bytes()
    if path.suffix == ".py":
        content = ast.dump(_without_docstrings(ast.parse(content))).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def _without_docstrings(tree):
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef
    for node in ast.walk(tree):
        if isinstance(node, kinds) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree
