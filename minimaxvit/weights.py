"""Keep a network in a file and get it back.

The file is safetensors: nothing in it can run. Its header says which network it holds, by names
that are looked up among what was registered; nothing is ever imported because a file says so.
"""

import json
from dataclasses import fields
from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as F
from safetensors import safe_open

from .atomic_write import atomic_write
from .block import MAXVIT_PARTS
from .layers import gelu
from .mbconv import Downsample
from .modes import unwrapped
from .network import Head, MaxViT, MaxViTConfig, Stem
from .pixels import normalize, normalize_imagenet

KINDS = {}  # by name: what a configuration may be made of


def register(**kinds):
    """Let saved networks be made of these parts, stems, heads and activations, by their names.

    Raises ValueError if a name already stands for something else.
    """
    for name, kind in kinds.items():
        known = KINDS.setdefault(name, kind)
        if _origin(known) != _origin(kind):
            raise ValueError(f"{name!r} already stands for {known}")
        KINDS[name] = kind  # a notebook's cell that runs again defines its class again


def _origin(kind):
    return getattr(kind, "__module__", None), getattr(kind, "__qualname__", kind)


register(**{kind.__name__: kind for kind in (Stem, Head, Downsample, *MAXVIT_PARTS)})
register(gelu=F.gelu, tanh_gelu=gelu)
register(normalize=normalize, normalize_imagenet=normalize_imagenet)


def describe(config):
    """Say which network it is in plain values, fit for JSON. `configuration` is the inverse.

    Raises ValueError, naming it, for a part that nobody registered.
    """
    return {field.name: _plain(getattr(config, field.name)) for field in fields(config)}


def _plain(value):
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if not callable(value):
        return value
    for name, kind in KINDS.items():
        if kind is value:
            return name
    raise ValueError(
        f"{value} could not be loaded again: nobody registered it; call minimaxvit.register first"
    )


def configuration(description):
    """Build the MaxViTConfig that `describe` put into plain values."""
    return MaxViTConfig(**{name: _looked_up(value) for name, value in description.items()})


def _looked_up(value):
    if isinstance(value, list):
        return tuple(map(_looked_up, value))
    if isinstance(value, str) and value not in KINDS:
        raise ValueError(
            f"it is made of {value!r}, which is not registered: import the file that defines it"
        )
    return KINDS[value] if isinstance(value, str) else value


def save(model, path):
    """Save a complete network, configuration and weights, or nothing if that fails.

    It may be compiled or wrapped. Raises ValueError, before anything is written, for a network that
    `load` could not build again. `load` gives it back in float32.
    """
    model = unwrapped(model)
    if not isinstance(model, MaxViT):
        raise ValueError(f"save takes a MaxViT, got a {type(model).__name__}")
    header, tensors = describe(model.config), model.state_dict()
    rebuilt = _without_numbers(header)
    if wrong := _difference(tensors, rebuilt.state_dict()) or _other_module(model, rebuilt):
        raise ValueError(f"the network is not what its configuration says: {wrong}")
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    whole = safetensors.torch.save(tensors, {"minimaxvit": json.dumps(header)})
    atomic_write(path, lambda partial: partial.write_bytes(whole))  # readable for all, as others


def _without_numbers(header):
    with torch.device("meta"):
        return MaxViT(configuration(header))


def _difference(tensors, expected):
    """Name the first tensor that is missing, left over or of another shape; None if all match."""
    for name in sorted(tensors.keys() ^ expected.keys()):
        return f"{name} is {'left over' if name in tensors else 'missing'}"
    for name, tensor in expected.items():
        if tensors[name].shape != tensor.shape:
            return f"{name} is {tuple(tensors[name].shape)} instead of {tuple(tensor.shape)}"


def _other_module(model, expected):
    """Name the first module that is of another class, which its tensors may not show."""
    for (name, module), other in zip(model.named_modules(), expected.modules(), strict=False):
        if type(module) is not type(other):
            place = name or "the network"
            return f"{place} is a {type(module).__name__} instead of a {type(other).__name__}"


def load(path):
    """Build the network that `save` wrote, in float32 on the CPU, in evaluation mode.

    Raises FileNotFoundError if there is no such file, ValueError if it holds no network of ours, or
    one with a part that is not registered: then import the file that defines it first.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"there is no weights file {path}")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        if "minimaxvit" not in metadata:
            raise ValueError("it does not say which network it holds")
        header = json.loads(metadata["minimaxvit"])
        tensors = safetensors.torch.load_file(path)
        if wrong := _difference(tensors, _without_numbers(header).state_dict()):
            raise ValueError(wrong)
        with torch.random.fork_rng(devices=[]):  # the caller's random state stays as it was
            model = MaxViT(configuration(header))
        model.load_state_dict(tensors)
    except (OSError, MemoryError):
        raise  # that is not the file's fault
    except Exception as error:  # what a header that somebody else wrote leads to has no end
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} is not a network that minimaxvit.save wrote: {why}") from None
    return model.eval()
