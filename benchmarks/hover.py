"""Measure how long the explorer takes to follow the pointer, in Chromium, for compact and MaxViT-T.

    python benchmarks/hover.py

A frame at 60 Hz lasts 16 ms. The pointer moves every 16 ms, and the time is from when it moves
until the picture it is on is drawn, so it includes waiting for what the page still has to do; what
the browser then needs to show the canvases is extra. The fields of a large network are more than
can be drawn at once: those that are not pointed at follow. MaxViT-T has random weights, on which
times do not depend. Writes benchmarks/results/hover.json.
"""

import json
import shutil
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from freshness import hashes
from torch import nn

from minimaxvit import MaxViT, maxvit, pretrained, pretrained_record
from minimaxvit.atomic_write import atomic_write
from minimaxvit.datasets import load_shapes
from minimaxvit.position import RelativePositionBias
from minimaxvit.seeing import photograph
from minimaxvit.seeing.explorer import explorer, explorer_page
from minimaxvit.training.device import choose_device
from minimaxvit.training.statistics import with_statistics

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "hover.json"
EXPLORER = sorted((HERE.parent / "minimaxvit" / "seeing" / "explorer").iterdir())
FILES = [
    *(f"minimaxvit/seeing/explorer/{path.name}" for path in EXPLORER if path.is_file()),
    "benchmarks/hover.py",
]
MOVES = 100


def views(first, cells, last, cells_of_last):
    """What is chosen and clicked in each view, and the canvas where the pointer moves.

    `first` and `last` are layers whose maps have so many `cells` on a side.
    """
    picture, image = "canvas[data-of=picture]", "canvas[data-of=image]"
    field = f"[data-layer='{last}'] canvas[data-of=exact]"
    return {
        "attention, one layer": ({"layer": first, "layers": "false"}, None, picture, cells),
        "attention, block beside grid": ({"layer": first}, None, picture, cells),
        "attention, last block": ({"layer": last}, None, picture, cells_of_last),
        "overview of layers and heads": ({}, "overview", image, cells),
        "overview, attended to by": ({"direction": "by"}, "overview", image, cells),
        "receptive fields": ({}, "fields", field, cells_of_last),
    }


VIEWS = {
    "compact": views("1.1 BlockAttention", 16, "3.1 BlockAttention", 4),
    "tiny": views("1.1 BlockAttention", 56, "4.2 GridAttention", 7),
}
# Move the pointer from token to token of the map and time each move, drawing included.
TIME = """async ([selector, moves, cells]) => {
  const canvas = document.querySelector(selector), times = [];
  canvas.scrollIntoView();
  for (let i = 0; i < moves; i++) {
    const due = performance.now() + 16;
    await new Promise((done) => setTimeout(done, 16));
    const box = canvas.getBoundingClientRect();
    const clientX = box.left + (((i * 5) % cells) + 0.5) * box.width / cells;
    const clientY = box.top + (((i * 3) % cells) + 0.5) * box.height / cells;
    canvas.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY, bubbles: true }));
    times.push(performance.now() - due);
  }
  return times;
}"""


def main():
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or sys.exit("no `chromium` on PATH: install it first")
    networks = {}
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        for name, page in {"compact": compact_page(), "tiny": tiny_page()}.items():
            print(f"{name}: {len(page):,} bytes")
            timed = {view: time_view(browser, page, *how) for view, how in VIEWS[name].items()}
            for view, found in timed.items():
                print(
                    f"  {view}: median {found['median_ms']:.1f} ms, {found['largest_ms']:.1f} at "
                    f"most; opened in {found['opened_s']:.1f} s"
                )
            networks[name] = {"bytes": len(page), "views": timed}
        version = browser.version
        browser.close()
    record = {
        "command": "python benchmarks/hover.py",
        "moves": MOVES,
        "browser": f"Chromium {version}",
        "files": hashes(*FILES),
        "machine": choose_device("cpu").describe(),
        "networks": networks,
    }
    text = json.dumps(record, indent=1)
    atomic_write(RESULTS, lambda partial: partial.write_text(text))


def compact_page():
    """The page of compact, trained and untrained, with four images."""
    trained = pretrained("compact")
    training, test = load_shapes(100, 4)
    torch.manual_seed(0)
    untrained = with_statistics(MaxViT(trained.config), training.images)
    networks = {"trained": trained, "untrained": untrained}
    classes = pretrained_record("compact")["data"]["classes"]
    return explorer_page(explorer(networks, test.images, list("abcd"), classes), "Hover")


def tiny_page():
    """The page of a MaxViT-T with random weights, for one photograph."""
    torch.manual_seed(0)
    model = maxvit("tiny")
    for part in model.modules():  # else all tokens are attended to alike, which takes few bytes
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=part.in_features**-0.5)
        if isinstance(part, RelativePositionBias):
            nn.init.normal_(part.table)
    picture = torch.tensor(photograph()).movedim(2, 0)[None].float()
    image = F.interpolate(picture, (224, 224), mode="area").byte()
    drawn = F.interpolate(load_shapes(32, 1)[0].images.float(), (224, 224)).byte()
    model = with_statistics(model, drawn)
    classes = [f"class {number}" for number in range(1000)]
    return explorer_page(explorer({"random": model}, image, ["photograph"], classes), "Hover")


def time_view(browser, page, choices, view, canvas, cells):
    """Open a page, choose a view, and time moves of the pointer there."""
    opened = browser.new_page(viewport={"width": 1200, "height": 1400})
    begun = time.perf_counter()
    opened.set_content(page)
    opened.wait_for_selector(".mmv-alive")
    seconds = time.perf_counter() - begun
    for what, value in choices.items():
        opened.select_option(f"[data-choice={what}]", value)
    if view:
        opened.click(f"[data-choice='view:{view}']")
    times = opened.evaluate(TIME, [canvas, MOVES, cells])
    opened.close()
    return {
        "opened_s": seconds,
        "median_ms": statistics.median(times),
        "largest_ms": max(times),
    }


if __name__ == "__main__":
    main()
