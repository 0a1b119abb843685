"""Measure how long the explorer takes to follow the pointer, in Chromium.

    python benchmarks/hover.py

A frame at 60 Hz lasts 16 ms. Each view draws at once when the pointer moves, so the time is that
of the event; what the browser then needs to show the canvases is extra. Writes
benchmarks/results/hover.json.
"""

import json
import shutil
import statistics
import sys
from pathlib import Path

import torch
from freshness import hashes

from minimaxvit import MaxViT, pretrained, pretrained_record
from minimaxvit.atomic_write import atomic_write
from minimaxvit.datasets import load_shapes
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
PICTURE = "canvas[data-of=picture]", 16  # a canvas, and the tokens on its sides
VIEWS = {  # what is chosen and clicked, and where the pointer moves
    "attention, one layer": ({"layers": "false"}, None, PICTURE),
    "attention, block beside grid": ({}, None, PICTURE),
    "overview of layers and heads": ({}, "overview", ("canvas[data-of=image]", 16)),
    "receptive fields": (
        {},
        "fields",
        ("[data-layer='2.1 GridAttention'] canvas[data-of=exact]", 8),
    ),
}
# Move the pointer from token to token of the map and time each event, drawing included.
TIME = """([selector, moves, cells]) => {
  const canvas = document.querySelector(selector), box = canvas.getBoundingClientRect();
  return Array.from({ length: moves }, (_, i) => {
    const clientX = box.left + (((i * 5) % cells) + 0.5) * box.width / cells;
    const clientY = box.top + (((i * 3) % cells) + 0.5) * box.height / cells;
    const before = performance.now();
    canvas.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY, bubbles: true }));
    return performance.now() - before;
  });
}"""


def main():
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or sys.exit("no `chromium` on PATH: install it first")
    trained = pretrained("compact")
    training, test = load_shapes(100, 4)
    torch.manual_seed(0)
    untrained = with_statistics(MaxViT(trained.config), training.images)
    networks = {"trained": trained, "untrained": untrained}
    classes = pretrained_record("compact")["data"]["classes"]
    page = explorer_page(explorer(networks, test.images, list("abcd"), classes), "Hover")
    found = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name, (choices, view, canvas) in VIEWS.items():
            opened = browser.new_page(viewport={"width": 1200, "height": 1400})
            opened.set_content(page)
            for what, value in choices.items():
                opened.select_option(f"[data-choice={what}]", value)
            if view:
                opened.click(f"[data-choice='view:{view}']")
            times = opened.evaluate(TIME, [canvas[0], MOVES, canvas[1]])
            found[name] = {"median_ms": statistics.median(times), "largest_ms": max(times)}
            print(f"{name}: median {found[name]['median_ms']:.1f} ms, {max(times):.1f} at most")
        version = browser.version
        browser.close()
    record = {
        "command": "python benchmarks/hover.py",
        "network": "compact",
        "bytes": len(page),
        "moves": MOVES,
        "browser": f"Chromium {version}",
        "files": hashes(*FILES),
        "machine": choose_device("cpu").describe(),
        "views": found,
    }
    text = json.dumps(record, indent=1)
    atomic_write(RESULTS, lambda partial: partial.write_text(text))


if __name__ == "__main__":
    main()
