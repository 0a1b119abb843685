"""Set any two networks for 32 x 32 side by side: a page of facts, reach, and explorers.

    python notebooks/side_by_side.py --out build/explorer

`make lessons` puts that page into the course. A network that comes with the package, or that was
trained where `minimaxvit train` puts its runs, is shown with those weights, and any other one
untrained, which the page says. Everything that a token reaches is computed here: the page only
draws it.
"""

import argparse
import base64
import gzip
import json
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle, islice, repeat
from math import inf
from multiprocessing import get_context
from pathlib import Path

import jinja2
import numpy as np
import torch
from PIL import Image
from render import GENERATOR, HERE, stylesheet
from tqdm import tqdm

from minimaxvit import CONFIGS, MaxViT, pretrained_record
from minimaxvit.__main__ import main as minimaxvit
from minimaxvit.commands import for_images_of, load_trained
from minimaxvit.datasets.image_files import read_image
from minimaxvit.datasets.shapes import draw_shapes
from minimaxvit.pretrained_networks import bundled
from minimaxvit.seeing import depth_to_whole, photograph, reach, with_statistics
from minimaxvit.seeing.explorer import explorer, explorer_page
from minimaxvit.seeing.measure.recording import attending
from minimaxvit.steps import build
from minimaxvit.summary import count
from minimaxvit.training.folder import RECORD

TITLE = "MaxViT beside its relatives"
PAGE = "side-by-side.html"
SIDE = 16  # of the map on which reach is shown
MOST = 16  # layers that are shown of a network that never sees the whole map
TITLES = {
    "compact": "MaxViT",
    "axial": "Axial attention",
    "bit": "BiT",
    "ceit": "CeiT",
    "coatnet": "CoAtNet",
    "convit": "ConViT",
    "convnext": "ConvNeXt",
    "convolutions": "Convolutions only",
    "deit": "DeiT",
    "hybrid": "Hybrid",
    "mixer": "MLP-Mixer",
    "mobilevit": "MobileViT",
    "nat": "NAT",
    "pvt": "PVT",
    "resnet": "ResNet",
    "sasa": "SASA",
    "swin": "Swin",
    "t2t": "T2T-ViT",
    "twins": "Twins",
    "van": "VAN",
    "visual_tokens": "Visual tokens",
    "vit": "ViT",
    "xcit": "XCiT",
}
FILES = ("data.js", "pictures.js", "columns.js", "side-by-side.js")  # helpers first


def find_trained(name):
    """What `minimaxvit explore --run` takes for a trained network of that name, or None."""
    runs = [f"runs/{name}-{data}" for data in ("cifar10", "shapes")]
    finished = (run for run in runs if (Path(run) / RECORD).is_file())
    return name if name in bundled() else next(finished, None)


def untrained(config):
    """Build a network with the batch-norm statistics of drawn shapes, the same every time."""
    images, _ = draw_shapes(50, seed=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return with_statistics(MaxViT(config), torch.from_numpy(images))


def layers_of(config, stage):
    """Build the parts of a stage for one map of 16 x 16 that stays as large as it is.

    A window that is the side of the only map that fits becomes the side of this one.
    """
    options = config.stage(stage)
    options |= {"in_dim": options["dims"], "dim": options["dims"], "stride": 1}
    for part in options["parts"]:
        built = build(part, options)
        yield build(part, options | {"window": SIDE}) if built.misfit(SIDE) else built


def choose_stage(config):
    """Choose the stage that sees the whole map in the fewest layers: its number, from 0."""

    def depth(stage):
        try:
            return depth_to_whole(list(layers_of(config, stage)), SIDE, SIDE, MOST) or inf
        except ValueError:  # it is about tokens of an earlier stage
            return inf

    return min(range(len(config.depths)), key=depth)


def see(config):
    """Say what each token sees through one layer of the chosen stage, two, ... until it is all.

    Returns the number of the stage, the names of the layers, and bool (layers, 256, 256).
    """
    stage = choose_stage(config)
    layers = list(layers_of(config, stage))
    depth = depth_to_whole(layers, SIDE, SIDE, MOST) or MOST
    layers = list(islice(cycle(layers), depth))
    seen = [reach(layers[:number], SIDE, SIDE, gates=False) for number in range(1, depth + 1)]
    names = [type(layer).__name__ for layer in layers]
    return stage, names, torch.stack(seen).flatten(3).flatten(1, 2)


def describe(name, model, weights):
    """Gather what the page shows of a network, but for its explorer."""
    config = model.config
    counts = count(config, config.image_size, config.image_size)
    stage, names, seen = see(config)
    return {
        "name": name,
        "title": title(name),
        "page": page(name),
        "weights": weights,
        "parameters": sum(parameters for _, _, parameters, _ in counts),
        "macs": sum(macs for *_, macs in counts),
        "depth": len(names) if seen[-1].all() else None,
        "stage": stage + 1,
        "side": counts[1 + stage][1][1],  # of the map of that stage in the network
        "attends": bool(attending(model)),
        "why": {
            type(part).__name__: part.why_no_weights
            for part in model.layers().values()
            if hasattr(part, "why_no_weights")
        },
        "layers": names,
        "seen": base64.b64encode(np.packbits(seen.numpy(), bitorder="little")).decode(),
    }


def title(name):
    return TITLES.get(name, name)


def page(name):
    return f"explore-{name}.html"


def make(name, image, folder, made):
    """Describe a network, and write the page that explores it unless it is one of those `made`."""
    trained, out = find_trained(name), folder / page(name)
    if trained is None:
        model, weights = untrained(CONFIGS[name]), None
        explore_untrained(name, model, image, out)
    else:
        model, record = load_trained(trained)
        weights = {
            "run": None if trained in bundled() else trained,
            "source": record["data"]["source"],
            "accuracy": record["result"]["accuracy"],
        }
        if name not in made:
            minimaxvit(["explore", str(image), "--run", trained, "--out", str(out)])
    return describe(name, model, weights)


def explore_untrained(name, model, image, out):
    """Write the page of an untrained network, which names classes as those of CIFAR-10."""
    classes = pretrained_record("compact")["data"]["classes"]
    read, _ = read_image(image, *2 * [model.config.image_size])
    found = explorer({"untrained": model}, read, [image.name], classes, "CIFAR-10")
    html = explorer_page(found, f"Explore the untrained {title(name)}")
    out.write_text(html, encoding="utf-8")


def write_page(networks, folder):
    """Write the page of these networks, whose explorers stand beside it. Returns its path."""
    loader = jinja2.FileSystemLoader(HERE / "template")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True)
    carried = json.dumps(networks, separators=(",", ":")).encode()
    html = environment.get_template("side-by-side.html.j2").render(
        title=TITLE,
        css=stylesheet(),
        generator=GENERATOR,
        networks=networks,
        data=base64.b64encode(gzip.compress(carried, mtime=0)).decode(),
        files=FILES,
    )
    path = folder / PAGE
    path.write_text(html, encoding="utf-8")
    return path


def write(image, folder, made=()):
    """Write the page of all networks for 32 x 32, and their explorers but for those `made`.

    Two at a time, each on one thread, as most of the work is in small pieces. Returns its path.
    """
    first, *others = for_images_of(32)  # compact, then its relatives
    names = [first, *sorted(others, key=lambda name: title(name).casefold())]
    one_thread = {"initializer": torch.set_num_threads, "initargs": (1,)}
    with ProcessPoolExecutor(2, get_context("spawn"), **one_thread) as pool:
        networks = pool.map(make, names, *map(repeat, (image, folder, made)))
        networks = [*tqdm(networks, "side by side", len(names), disable=None, leave=False)]
    return write_page(networks, folder)


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Set MaxViT and its relatives side by side.")
    parser.add_argument("--out", type=Path, default=Path("build/explorer"), help="folder to write")
    folder = parser.parse_args(arguments).out.expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    image = folder / "photograph.png"
    Image.fromarray(photograph()).save(image)
    print(f"Open {write(image, folder)}")


if __name__ == "__main__":
    main()
