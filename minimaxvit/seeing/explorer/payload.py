"""What the explorer carries: pictures, scores, kernels and fields, in plain values and base64.

Scores travel in half precision and unsoftened, so that the browser can take content or position
out, or change the scale, without asking anyone.
"""

import base64
from functools import singledispatch

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import colormaps

from ...block import BlockAttention, GridAttention, GroupAttention
from ...compact import FullStem, PooledConvs
from ...mbconv import Conv3x3, Downsample, MBConv
from ...network import Stem
from ..effective import effective_fields
from ..evaluating import ready
from ..extent import extent, middle
from ..field import layers, pixels_apart
from ..heads import measure_heads
from ..recording import record_attention
from ..rollout import tap_shares

PATTERNS = {
    BlockAttention: "b (n1 p1) (n2 p2) c -> b (n1 n2) (p1 p2) c",
    GridAttention: "b (g1 n1) (g2 n2) c -> b (n1 n2) (g1 g2) c",
}
LIKELIEST = 5
MOST_QUERIES, MOST_PIXELS = 64, 64 * 64  # larger maps have no effective fields: they would weigh


def payload(networks, images, names, classes):
    """Gather all that the explorer's page needs, as JSON can hold it. Arguments as `explorer`."""
    model = next(iter(networks.values()))
    side = tuple(images.shape[2:])
    with torch.no_grad():
        described = _describe_layers(model, images[:1])
        sizes = {layer["name"]: layer["size"] for layer in described}
        carried = [_network(*each, images, classes, sizes) for each in networks.items()]
    return {
        "side": side,
        "palette": [round(255 * channel) for rgb in colormaps["cividis"].colors for channel in rgb],
        "pictures": [
            {"name": name, "pixels": encode(image.permute(1, 2, 0).cpu().numpy())}
            for name, image in zip(names, images, strict=True)
        ],
        "layers": described,
        "networks": carried,
    }


def encode(array):
    """Write an array row by row as base64, whatever its type, little end first."""
    array = np.ascontiguousarray(array)
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()


def _describe_layers(model, images):
    """Tell of each layer what does not depend on weights: sizes, groups, and what stands for it."""
    told = []
    x = ready(model, images)
    with record_attention(model) as maps:
        model(x)
    for name, part in layers(model).items():
        before, x = x.shape[2:], part(x)
        layer = {"name": name, "before": list(before), "size": list(x.shape[2:])}
        layer["stride"] = pixels_apart(images.shape[2:], layer["size"])
        if isinstance(part, GroupAttention):
            attention = maps[name]
            if type(part) not in PATTERNS:
                kind = type(part).__name__
                raise TypeError(f"the explorer knows BlockAttention and GridAttention, not {kind}")
            layer |= {
                "kind": "block" if isinstance(part, BlockAttention) else "grid",
                "window": part.window,
                "heads": len(attention.bias),
                "pattern": PATTERNS[type(part)],
                "tokens": attention.tokens.tolist(),
                "even": measure_heads(attention, attention.weights()).even,
            }
        told.append(layer)
    return told


def _network(label, model, images, classes, sizes):
    """Tell of one network its scores, what it takes the pictures for, kernels and fields."""
    with record_attention(model) as maps:
        shares = model(ready(model, images)).softmax(1)
    named = layers(model)
    return {
        "label": label,
        "likely": [_likeliest(each, classes) for each in shares],
        "attention": {
            name: {
                "bias": encode(named[name].attention.bias.table.half().cpu().numpy()),
                "content": [encode(each.half().cpu().numpy()) for each in attention.content],
            }
            for name, attention in maps.items()
        },
        "steps": {name: steps(part) for name, part in named.items()},
        "fields": _fields(model, images, sizes),
    }


def _likeliest(shares, classes):
    best = shares.topk(min(LIKELIEST, len(shares)))
    return [
        [classes[index], round(share, 4)]
        for share, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]


def _fields(model, images, sizes):
    """Tell of the effective field of every query of the small maps: a map, and its extent.

    The map has 16 steps, of the square root of the share, so that the rim is not lost; the numbers
    are those of the field itself.
    """
    fields = {}
    for name, (h, w) in sizes.items():
        if h * w > MOST_QUERIES or images[0, 0].numel() > MOST_PIXELS:
            continue
        found = effective_fields(model, images, name).flatten(0, 1)  # (queries, rows, columns)
        stride = pixels_apart(images.shape[2:], (h, w))
        extents = [
            extent(field, middle(divmod(query, w), stride), (0.5,))
            for query, field in enumerate(found)
        ]
        levels = (15 * (found / found.amax((1, 2), keepdim=True)).sqrt()).round().to(torch.uint8)
        levels = F.pad(levels.flatten(), (0, levels.numel() % 2))
        low, high = levels.view(-1, 2).T  # two to a byte
        fields[name] = {
            "map": encode((low + 16 * high).numpy()),
            "sides": [each.sides[0] for each in extents],
            "pixels": [each.pixels[0] for each in extents],
            "worth": [round(each.participation, 1) for each in extents],
        }
    return fields


@singledispatch
def steps(part):
    """Say as plain values how places meet in a part: what `trace` and `mix` do, for the browser.

    A step is {"op": "taps", "stride", "kernel"}, {"op": "pool"}, {"op": "group"}, or {"op": "sum",
    "branches", "excite"}, whose second branch squeeze-excitation multiplies.
    """
    raise TypeError(f"nobody has said what the steps of {type(part).__name__} are: see `steps`")


@steps.register
def _(part: Conv3x3):
    taps = [float(f"{tap:.6g}") for tap in tap_shares(part).flatten().tolist()]
    return [{"op": "taps", "stride": part.stride[0], "kernel": taps}]


@steps.register
def _(part: Downsample):
    return [{"op": "pool"}] if part.stride == 2 else []


@steps.register
def _(part: Stem):
    return steps(part.conv1) + steps(part.conv2)


@steps.register
def _(part: FullStem):
    return steps(part.conv1)


@steps.register
def _(part: MBConv):
    branches = [steps(part.shortcut), steps(part.depthwise)]
    return [{"op": "sum", "branches": branches, "excite": True}]


@steps.register
def _(part: PooledConvs):
    pool = [{"op": "pool"}] if part.stride == 2 else []
    return steps(part.conv1) + pool + steps(part.conv2)


@steps.register
def _(part: GroupAttention):
    return [{"op": "group"}]
