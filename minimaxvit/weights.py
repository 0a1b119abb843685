"""Keep a network in a file, get it back or one from the box, and take over what others published.

Our own file is safetensors: nothing in it can run, and its header says which network it holds.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError, safe_open

from .block import MAXVIT, BlockAttention, GridAttention
from .compact import FullStem, PooledConvs
from .mbconv import MBConv
from .network import MaxViT, MaxViTConfig, Stem

BOX = Path(__file__).parent / "trained"  # networks that come with the package, and their records
PARTS = {part.__name__: part for part in (PooledConvs, *MAXVIT)}
STEMS = {stem.__name__: stem for stem in (Stem, FullStem)}


def describe(config):
    """Say which network it is in plain values, fit for JSON. `configuration` is the inverse."""
    lists = {name: list(getattr(config, name)) for name in ("blocks", "widths")}
    parts = [[part.__name__ for part in stage] for stage in config.parts]
    return asdict(config) | lists | {"parts": parts, "stem": config.stem.__name__}


def configuration(description):
    """Build the MaxViTConfig that `describe` put into plain values."""
    tuples = {name: tuple(description[name]) for name in ("blocks", "widths")}
    parts = tuple(tuple(PARTS[name] for name in stage) for stage in description["parts"])
    stem = STEMS[description["stem"]]
    return MaxViTConfig(**description | tuples | {"parts": parts, "stem": stem})


def save(model, path):
    """Write a network whole: its configuration and its weights, or nothing if that fails."""
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    header = {"minimaxvit": json.dumps(describe(model.config))}
    whole = safetensors.torch.save(tensors, header)  # save_file would let only the owner read it
    write_whole(path, lambda partial: partial.write_bytes(whole))


def load(path):
    """Build the network that `save` wrote, on the CPU and ready to evaluate.

    Raises FileNotFoundError if there is no such file, ValueError if it holds no network of ours.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no weights file {path}")
    try:
        with safe_open(path, "pt") as file:
            description = json.loads(file.metadata()["minimaxvit"])
        model = MaxViT(configuration(description))
        model.load_state_dict(safetensors.torch.load_file(path))
    except (SafetensorError, TypeError, KeyError, ValueError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise ValueError(f"{path} is no weights file that minimaxvit.save wrote: {why}") from None
    return model.eval()


def boxed():
    """List the names that `pretrained` knows."""
    return sorted(path.stem for path in BOX.glob("*.safetensors"))


def pretrained(name):
    """Get a trained network out of the box, ready to evaluate; nothing is downloaded.

    "compact" was trained on CIFAR-10, "compact-shapes" on shapes; `pretrained_record` tells how.
    Raises ValueError for a name that is not in the box.
    """
    return load(_in_box(name, ".safetensors"))


def pretrained_record(name):
    """Tell how a network in the box was trained and what it reached, as `fit` recorded it."""
    return json.loads(_in_box(name, ".json").read_text())


def _in_box(name, suffix):
    if name not in boxed():
        raise ValueError(f"no network in the box is called {name!r}; choose {' or '.join(boxed())}")
    return BOX / f"{name}{suffix}"


def write_whole(path, write):
    """Let `write(partial)` make a file beside `path`, then move it there: all of it or nothing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")  # what a kill leaves, the next try overwrites
    try:
        write(partial)
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


# Where timm keeps what we keep in a module, for its `maxvit_*_tf_*` models, which carry the
# official weights. Names of parts are relative to the part.
TIMM_PARTS = {MBConv: "conv", BlockAttention: "attn_block", GridAttention: "attn_grid"}
TIMM_NAMES = {
    "stem.conv1": "stem.conv1",
    "stem.norm": "stem.norm1",
    "stem.conv2": "stem.conv2",
    "shortcut.project": "shortcut.expand",
    "norm": "pre_norm",
    "expand": "conv1_1x1",
    "expand_norm": "norm1",
    "depthwise": "conv2_kxk",
    "depthwise_norm": "norm2",
    "squeeze_excite.squeeze": "se.fc1",
    "squeeze_excite.excite": "se.fc2",
    "shrink": "conv3_1x1",
    "attention_norm": "norm1",
    "attention.query": "attn.qkv",
    "attention.key": "attn.qkv",
    "attention.value": "attn.qkv",
    "attention.output": "attn.proj",
    "attention.bias": "attn.rel_pos",
    "feed_forward_norm": "norm2",
    "feed_forward.widen": "mlp.fc1",
    "feed_forward.narrow": "mlp.fc2",
    "head.norm": "head.norm",
    "head.hidden": "head.pre_logits.fc",
    "head.classify": "head.fc",
}


def load_timm(model, state_dict):
    """Fill `model` with the weights of the same network from timm, and return it.

    `state_dict` is that of a `maxvit_*_tf_*` model. Raises ValueError, and leaves the model as it
    was, if a tensor is missing, left over or of another shape.
    """
    ours = model.state_dict()
    names = {name: _timm_name(model, name) for name in ours}
    missing, unused = set(names.values()) - set(state_dict), set(state_dict) - set(names.values())
    if missing or unused:
        raise ValueError(
            f"these are not the weights of this network: {len(missing)} tensors are missing "
            f"({', '.join(sorted(missing)[:3])}...) and {len(unused)} have no place in it "
            f"({', '.join(sorted(unused)[:3])}...)"
        )
    tensors = {name: _part_of_qkv(name, state_dict[theirs]) for name, theirs in names.items()}
    for name, tensor in tensors.items():
        if tensor.shape != ours[name].shape:
            raise ValueError(
                f"{names[name]} has shape {tuple(tensor.shape)} where {name} needs "
                f"{tuple(ours[name].shape)}: the widths, window or classes differ"
            )
    model.load_state_dict(tensors)
    return model


def _timm_name(model, name):
    module, _, kind = name.rpartition(".")
    if kind == "table":
        kind = "relative_position_bias_table"
    if not module.startswith("stages."):
        return f"{TIMM_NAMES[module]}.{kind}"
    _, stage, block, _, part, inside = module.split(".", 5)
    part = TIMM_PARTS[type(model.stages[int(stage)][int(block)].parts[int(part)])]
    return f"stages.{stage}.blocks.{block}.{part}.{TIMM_NAMES[inside]}.{kind}"


def _part_of_qkv(name, tensor):
    """timm packs query, key and value into one projection, in this order."""
    for place, projection in enumerate(("query", "key", "value")):
        if f".{projection}." in name:
            return tensor.chunk(3)[place]
    return tensor
