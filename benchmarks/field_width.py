"""Does training widen the effective field (lesson 8)? Change what might have decided the answer.

    python benchmarks/field_width.py

Each case measures one trained network and five untrained ones with batch-norm statistics, and
changes one thing: the images, the token, the images of the statistics, or squeeze-excitation. The
last case is the network of CIFAR-10 on images of CIFAR-10, if those are there. Writes
benchmarks/results/field-width.json.
"""

import json
import shlex
import sys
import time
from copy import deepcopy
from pathlib import Path

import torch
from freshness import NETWORK, hashes
from torch import nn

from minimaxvit import MaxViT, MBConv, pretrained
from minimaxvit.atomic_write import atomic_write
from minimaxvit.datasets import draw_shapes, find_cifar10, load_cifar10, load_shapes
from minimaxvit.seeing import effective_field, extent, middle, trace, with_statistics
from minimaxvit.training.device import choose_device

RESULTS = Path(__file__).parent / "results" / "field-width.json"
FILES = [
    *NETWORK,
    *(f"minimaxvit/seeing/measure/{name}.py" for name in "effective extent".split()),
    "minimaxvit/pixels.py",
    "minimaxvit/prepare.py",
    "minimaxvit/training/statistics.py",
    "minimaxvit/datasets/shapes.py",
    "benchmarks/field_width.py",
]
SEEDS, IMAGES, SIDE = 5, 50, 32
FRACTIONS = 0.5, 0.9


def noise(count):
    """Images of independent pixels, uint8 (count, 3, 32, 32)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)


def gray(count):
    """Images of a single gray each, from dark to light."""
    levels = torch.linspace(0, 255, count).to(torch.uint8)
    return levels.view(-1, 1, 1, 1).expand(-1, 3, SIDE, SIDE).contiguous()


def without_squeeze_excitation(model):
    model = deepcopy(model)
    for part in model.modules():
        if isinstance(part, MBConv):
            part.squeeze_excite = nn.Identity()
    return model


def queries(model, place):
    """The token of each layer at a place, (down, right) from 0 to 1, and its width in pixels."""
    for name in model.layers():
        h, w = trace(model, SIDE, SIDE, name, (0, 0))[name].shape
        yield name, (int(place[0] * h), int(place[1] * w)), SIDE // h


def sizes(model, images, place):
    """How many pixels hold half and 90% of each layer's field: [layers, 2]."""
    found = []
    for name, query, stride in queries(model, place):
        field = effective_field(model, images, name, query)
        found.append(list(extent(field, middle(query, stride), FRACTIONS).pixels))
    return found


def measure(name, trained, images, place=(0.5, 0.5), statistics=None, change=lambda model: model):
    """Measure one case: a row of what the trained network and each of the untrained ones needs."""
    networks = [trained]
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        model = MaxViT(trained.config).double()
        networks.append(with_statistics(model, images if statistics is None else statistics))
    first, *others = [sizes(change(model), images, place) for model in networks]
    return {"name": name, "trained": first, "untrained": others}


def cases():
    """Yield the arguments of `measure`, the case of the lesson first."""
    shapes = pretrained("compact-shapes").double()
    _, test = load_shapes(train_size=1, test_size=IMAGES)
    other = torch.from_numpy(draw_shapes(IMAGES, seed=7)[0])
    yield "as in the lesson", shapes, test.images
    yield "other shapes", shapes, other
    yield "images of noise", shapes, noise(IMAGES)
    yield "images of one gray each", shapes, gray(IMAGES)
    yield "another token", shapes, test.images, (0.25, 0.7)
    yield "statistics from other shapes", shapes, test.images, (0.5, 0.5), other
    yield "no squeeze-excitation", shapes, test.images, (0.5, 0.5), None, without_squeeze_excitation
    if folder := find_cifar10():
        _, cifar = load_cifar10(folder)
        yield "CIFAR-10", pretrained("compact").double(), cifar.images[:IMAGES]


def main():
    rows, started = [], time.perf_counter()
    for case in cases():
        rows.append(row := measure(*case))
        wider = [
            sum(
                one[part] > max(other[layer][part] for other in row["untrained"])
                for layer, one in enumerate(row["trained"])
            )
            for part in range(len(FRACTIONS))
        ]
        print(f"{row['name']}: wider than all untrained in {wider} of {len(row['trained'])} layers")
    record = {
        "command": shlex.join(["python", *sys.argv]),
        "machine": choose_device("cpu", bf16=False).describe(),
        "torch": torch.__version__,
        "files": hashes(*FILES),
        "seconds": time.perf_counter() - started,
        "layers": list(pretrained("compact-shapes").layers()),
        "fractions": FRACTIONS,
        "rows": rows,
    }
    atomic_write(RESULTS, lambda partial: partial.write_text(json.dumps(record, indent=1)))


if __name__ == "__main__":
    main()
