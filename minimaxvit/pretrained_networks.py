"""Trained networks by name: some come with the package, the official ones from a hub."""

import json
from dataclasses import replace
from pathlib import Path

import torch

from .network import MaxViT
from .official_weights import OFFICIAL, official, official_record
from .weights import load

BUNDLED = Path(__file__).parent / "trained"  # networks that come with the package, and records


def bundled():
    """List the pretrained networks that come with the package."""
    return sorted(path.stem for path in BUNDLED.glob("*.safetensors"))


def pretrained(name, num_classes=None, revision="main"):
    """Get a trained network in evaluation mode; `pretrained_record` tells how it was trained.

    "compact" was trained on CIFAR-10, "compact-shapes" on shapes, and nothing is downloaded. "tiny"
    to "large", each also with "_384" and "_512", were trained on ImageNet-1k, and "base_21k",
    "base_384_21k" and so on, up to "xlarge", on ImageNet-21k first: their official weights come
    from the Hugging Face hub, which needs huggingface_hub; `revision` is a commit, tag or branch.
    With `num_classes`, a last layer that is not trained replaces its own, for other classes.
    Raises ValueError for a name that is not there, OSError if a download fails.
    """
    _refuse_unknown(name)
    if name in OFFICIAL:
        model = official(name, revision)
    else:
        model = load(BUNDLED / f"{name}.safetensors")
    return model if num_classes is None else _with_classes(model, num_classes)


def _with_classes(model, num_classes):
    config = replace(model.config, num_classes=num_classes)
    with torch.random.fork_rng(devices=[]):
        other = MaxViT(config)
    last = other.head.classify.state_dict(prefix="head.classify.")
    other.load_state_dict(model.state_dict() | last)
    return other.eval()


def pretrained_record(name, revision="main"):
    """Tell how a pretrained network was trained, its classes, and how it wants its images.

    For a bundled one, also what it reached, as `fit` recorded it. Errors are those of `pretrained`.
    """
    _refuse_unknown(name)
    if name in OFFICIAL:
        return official_record(name, revision)
    return json.loads((BUNDLED / f"{name}.json").read_text())


def _refuse_unknown(name):
    if name not in [*bundled(), *OFFICIAL]:
        raise ValueError(
            f"no pretrained network is called {name!r}; choose one of "
            f"{', '.join([*bundled(), *OFFICIAL])}"
        )
