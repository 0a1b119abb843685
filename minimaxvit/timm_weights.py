"""Exchange weights with timm's `maxvit_*_tf_*` models, which hold the official ones."""

from collections.abc import Mapping

import torch

from .block import BlockAttention, GridAttention
from .mbconv import MBConv
from .modes import unwrapped

# Where timm keeps what we keep in a module. Names inside a part are relative to the part.
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
    "feed_forward.expand": "mlp.fc1",
    "feed_forward.shrink": "mlp.fc2",
    "head.norm": "head.norm",
    "head.hidden": "head.pre_logits.fc",
    "head.classify": "head.fc",
}


def load_timm(model, state_dict):
    """Fill `model` with the weights of the same network from timm, and return it.

    `state_dict` is that of a `maxvit_*_tf_*` model; either may be compiled or wrapped. Raises
    ValueError, and leaves the model as it was, if a tensor is missing, left over or of another
    shape.
    """
    inner = unwrapped(model)
    if not isinstance(state_dict, Mapping) or not all(map(torch.is_tensor, state_dict.values())):
        raise ValueError(
            f"load_timm takes a state_dict, {{name: tensor}}, got a {type(state_dict).__name__}"
        )
    state_dict = {_bare(name): tensor for name, tensor in state_dict.items()}
    ours = inner.state_dict()
    names = {name: _timm_name(inner, name) for name in ours}
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
                f"{tuple(ours[name].shape)}: dims, window or classes differ"
            )
    inner.load_state_dict(tensors)
    return model


def to_timm(model):
    """Name and pack the weights of a network as timm does: the inverse of `load_timm`.

    Returns a new state_dict for the `maxvit_*_tf_*` model of the same dims, depths and window.
    Raises ValueError if timm has nothing like one of the tensors.
    """
    inner, packed = unwrapped(model), {}
    for name, tensor in inner.state_dict().items():
        packed.setdefault(_timm_name(inner, name), []).append(tensor)  # query, key, value
    return {
        name: torch.cat(parts) if len(parts) > 1 else parts[0].clone()
        for name, parts in packed.items()
    }


def _bare(name):
    """Leave out what torch.compile and DataParallel put before the name of a tensor."""
    return name.removeprefix("module.").removeprefix("_orig_mod.").removeprefix("module.")


def _timm_name(model, name):
    module, _, kind = name.rpartition(".")
    if kind == "table":
        kind = "relative_position_bias_table"
    try:
        if not module.startswith("stages."):
            return f"{TIMM_NAMES[module]}.{kind}"
        _, stage, block, _, part, inside = module.split(".", 5)
        part = TIMM_PARTS[type(model.stages[int(stage)][int(block)].parts[int(part)])]
        return f"stages.{stage}.blocks.{block}.{part}.{TIMM_NAMES[inside]}.{kind}"
    except (KeyError, ValueError):
        raise ValueError(f"timm's maxvit_*_tf_* models have nothing like our {name}") from None


def _part_of_qkv(name, tensor):
    """timm packs query, key and value into one projection, in this order."""
    for place, projection in enumerate(("query", "key", "value")):
        if f".{projection}." in name:
            size = len(tensor) // 3
            return tensor[place * size : (place + 1) * size]
    return tensor
