"""What the explorer's page carries: images, reads, scores, taps and fields, in JSON and base64.

The page knows no kinds of parts. It gets the lists of which place reads which, as
`measure.reads` lowers them, once for all networks, and of each network what differs: the sizes of
taps and the scores of attention. Scores travel in half precision and before the softmax, so that
the browser can leave scores or bias out, or change the scale, without asking anyone. The page holds
all of it compressed, for which arrays are written in an order that compresses well.
"""

import base64
from itertools import count

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import colormaps
from torch import nn

from ...block import BlockAttention, GridAttention
from ...position import RelativePositionBias
from ...prepare import prepare
from ...steps import Taps
from ..measure.effective import effective_fields
from ..measure.extent import extent, middle
from ..measure.reads import Read, Sum, lower_network, places_after
from ..measure.recording import attention_maps
from ..measure.rollout import tap_sizes
from .answers import MOST_CLASSES, name_answers

PATTERNS = {
    BlockAttention: "b (n1 p1) (n2 p2) c -> b (n1 n2) (p1 p2) c",
    GridAttention: "b (g1 n1) (g2 n2) c -> b (n1 n2) (g1 g2) c",
}
TOP = 5  # classes named of each image
MOST_QUERIES, MOST_PIXELS = 64, 64 * 64  # larger maps get no effective fields: too many bytes


def payload(networks, images, names, classes, source=None):
    """Gather all that the explorer's page needs, as JSON can hold it. Arguments as `explorer`."""
    model = next(iter(networks.values()))
    side = tuple(images.shape[2:])
    lowered = lower_network(model, *side)
    places = {name: places_after(part_reads) for name, part_reads in lowered.items()}
    maps = attention_maps(model, images[:1])
    return {
        "side": side,
        "answers": name_answers(classes, source),
        "classes": list(classes) if len(classes) <= MOST_CLASSES else None,
        "limits": {"queries": MOST_QUERIES, "pixels": MOST_PIXELS},
        "palette": [round(255 * channel) for rgb in colormaps["cividis"].colors for channel in rgb],
        "images": [
            {"name": name, "pixels": encode(image.permute(1, 2, 0).cpu().numpy())}
            for name, image in zip(names, images, strict=True)
        ],
        "layers": [
            {
                "name": name,
                "size": [places[name].h, places[name].w],
                "stride": places[name].stride,
                "extra": places[name].extra,
                "passing": lowered[name].passing,
                "reads": describe_reads(lowered[name].reads, count()),
                "attention": _describe_attention(name, part, maps[name]) if name in maps else None,
                # What mixes tokens without weights between them may say so to who looks for them.
                "why": getattr(part, "why_no_weights", None),
            }
            for name, part in model.layers().items()
        ],
        "networks": [_network(*each, images, classes, places) for each in networks.items()],
    }


def encode(array):
    """Write an array row by row as base64: the lowest bytes of all numbers, then the next ones.

    Bytes that mean the same are alike, so gzip makes less of them than of whole numbers.
    """
    array = np.ascontiguousarray(array).reshape(-1, 1)
    in_order = array.astype(array.dtype.newbyteorder("<")).view(np.uint8)  # (numbers, bytes of one)
    return base64.b64encode(in_order.T.tobytes()).decode()


def _encode_places(numbers, places):
    """Write numbers of places, in two bytes each, or four where there are many.

    Of each group it writes by how much it differs from the one before, which repeats.
    """
    numbers = numbers.numpy().astype(np.int16 if places < 2**15 else np.int32)
    return encode(np.diff(numbers, axis=0, prepend=numbers.dtype.type(0)))


def describe_reads(reads, numbers):
    """Say in plain values who reads whom; convolutions are counted by `numbers`, in order.

    A read is {"before", "after", "queries", "keys", "t", "s", "amounts"}: how many places there are
    before and after it, its places (queries of null are all in order, keys of null are the
    queries), and how much of each key is read: "attention", "even", or the number of a convolution.
    Besides, there are {"sum": branches} and {"gate": how many tokens}.
    """
    return [_describe_read(read, numbers) for read in reads]


def _describe_read(read, numbers):
    if isinstance(read, Sum):
        return {"sum": [describe_reads(branch, numbers) for branch in read.branches]}
    if not isinstance(read, Read):
        return {"gate": read.after.h * read.after.w}
    before, after, queries, keys = read.before.count, read.after.count, read.queries, read.keys
    in_order = torch.equal(queries, torch.arange(after)[:, None])
    return {
        "before": before,
        "after": after,
        "queries": None if in_order else _encode_places(queries, max(before, after)),
        "keys": None if torch.equal(keys, queries) else _encode_places(keys, max(before, after)),
        "t": queries.shape[1],
        "s": keys.shape[1],
        "amounts": _amounts(read, numbers),
    }


def _amounts(read, numbers):
    if _convolves(read):
        return next(numbers)
    return "attention" if read.attends else "even"


def _convolves(read):
    return isinstance(read.step, Taps) and isinstance(read.step.module, nn.Conv2d)


def _kernels(reads):
    """The sizes of the taps of each convolution, in the order in which reads are described."""
    kernels = []
    for read in reads:
        if isinstance(read, Sum):
            kernels += [kernel for branch in read.branches for kernel in _kernels(branch)]
        elif isinstance(read, Read) and _convolves(read):
            sizes = tap_sizes(read.step.module.weight).tolist()
            kernels.append([float(f"{size:.6g}") for size in sizes])
    return kernels


def _describe_attention(name, part, attention):
    """Say of a layer's attention what does not depend on weights."""
    relative = _relative(part, attention)
    return {
        "block": name.split()[0],
        "kind": type(part).__name__,
        "pattern": PATTERNS.get(type(part)),
        "heads": attention.scores.shape[1],
        "size": attention.size,
        "stride": attention.stride,
        "keySize": [attention.key_places.h, attention.key_places.w],
        "keyStride": attention.key_places.stride,
        "table": list(relative.table.shape[1:]) if relative else None,
        "index": encode(relative.index.cpu().numpy().astype(np.int16)) if relative else None,
    }


def _relative(part, attention):
    """The relative position bias of a part, if it has one, for all pairs of a group."""
    found = [module for module in part.modules() if isinstance(module, RelativePositionBias)]
    fits = len(found) == 1 and found[0].index.shape == attention.scores.shape[-2:]
    return found[0] if fits else None


@torch.no_grad()
def _network(label, model, images, classes, places):
    """Say of one network what it predicts and attends to, and its kernels and fields."""
    probabilities = model(prepare(model, images)).softmax(1)
    named, lowered = model.layers(), lower_network(model, *images.shape[2:])
    return {
        "label": label,
        "predictions": [_top(each, classes) for each in probabilities],
        "attention": {
            name: {
                "scores": [encode(_half(each)) for each in attention.scores],
                **_bias(named[name], attention),
            }
            for name, attention in attention_maps(model, images).items()
            if name in named
        },
        "kernels": {name: _kernels(part_reads.reads) for name, part_reads in lowered.items()},
        "fields": _fields(model, images, places),
    }


def _bias(part, attention):
    """The table of the bias, and the bias itself, (heads, 1 or n, t, s), where that differs."""
    whole = attention.bias.expand(attention.scores.shape)[0]  # (heads, n, t, s)
    relative = _relative(part, attention)
    known = relative()[:, None] if relative else torch.zeros(())  # what the page makes of no bias
    if torch.equal(whole, known.to(whole).expand_as(whole)):
        bias = None
    elif torch.equal(whole, whole[:, :1].expand_as(whole)):
        bias = encode(_half(whole[:, :1]))
    else:
        bias = encode(_half(whole))
    return {"table": encode(_half(relative.table)) if relative else None, "bias": bias}


def _half(values):
    """Half precision, whose numbers end at 65504; minus infinity, which is no key, stays."""
    finite = values.detach().clamp(-65504, 65504)
    return torch.where(values == -torch.inf, values.detach(), finite).half().cpu().numpy()


def _top(probabilities, classes):
    best = probabilities.topk(min(TOP, len(probabilities)))
    return [
        [classes[index], round(probability, 4)]
        for probability, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]


def _fields(model, images, places):
    """Say of the effective field of every query of the small maps: its map, and its extent.

    The map has 16 levels, of the square root of the fraction, so that the rim is not lost; the
    numbers are those of the field itself.
    """
    fields = {}
    for name, (h, w, _, stride) in places.items():
        if h * w > MOST_QUERIES or images[0, 0].numel() > MOST_PIXELS:
            continue
        found = effective_fields(model, images, name).flatten(0, 1)  # (queries, rows, columns)
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
