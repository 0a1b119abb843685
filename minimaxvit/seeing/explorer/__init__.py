"""One self-contained piece of HTML in which to explore a network: attention and fields."""

import base64
import gzip
import json
from contextlib import ExitStack
from html import escape
from pathlib import Path

from ...modes import evaluating, unwrapped
from .answers import MOST_CLASSES, name_answers
from .payload import payload
from .static_view import static_view

HERE = Path(__file__).parent
# A page that frames ours cannot measure it, at least among files, so it is told.
TELL_HEIGHT = """if (parent !== window) {
const tell = ([page]) => parent.postMessage({ explorerHeight: page.target.offsetHeight }, "*");
new ResizeObserver(tell).observe(document.documentElement);
}"""
MARK = "minimaxvit explore"  # by which a page that we wrote is known
SCRIPTS = (  # in the order in which they are written, helpers first
    "attention.js",
    "field.js",
    "draw.js",
    "controls.js",
    "picture.js",
    "look.js",
    "reading.js",
    "heads.js",
    "panel.js",
    "settings.js",
    "attention-view.js",
    "overview.js",
    "fields-view.js",
    "axis.js",
    "rule-view.js",
    "about.js",
    "explorer.js",
)


def explorer(networks, images, names, classes, source=None):
    """Build the explorer, a piece of HTML that needs no network, no kernel and no other file.

    `networks` is {label: MaxViT}, all of one configuration, so that they can be compared; an
    untrained one needs batch-norm statistics first: see `with_statistics`. `images` is uint8
    (n, 3, h, w), with one of `names` each, and `classes` name what the networks predict, which
    the page says they cannot leave; `source` names the data of those classes. Without JavaScript
    a figure with alt text and a table remain. ValueError for networks of different configurations,
    and for a wrong number of names or classes.
    """
    networks = {label: unwrapped(model) for label, model in networks.items()}
    configurations = {label: model.config for label, model in networks.items()}
    first, *others = configurations
    for label in others:
        if configurations[label] != configurations[first]:
            raise ValueError(
                f"{label!r} has a different configuration from {first!r}; explore them separately"
            )
    if len(names) != len(images):
        raise ValueError(f"{len(images)} images need as many names, got {len(names)}")
    for label, model in networks.items():
        if len(classes) != model.config.num_classes:
            raise ValueError(
                f"{label!r} has {model.config.num_classes} classes, but {len(classes)} are named"
            )
    with ExitStack() as modes:
        for model in networks.values():
            modes.enter_context(evaluating(model))
        carried = payload(networks, images, names, classes, source)
        without_script = static_view(networks[first], images[0], names[0])
    data = json.dumps(carried, separators=(",", ":"), allow_nan=False)
    data = base64.b64encode(gzip.compress(data.encode(), mtime=0)).decode()
    style, scripts = _read("explorer.css"), "\n".join(map(_read, SCRIPTS))
    # The attribute keeps JupyterLab's own shortcuts away from our keys.
    return (
        f'<div class="mmv-explorer" data-lm-suppress-shortcuts="true">\n<div class="mmv-static">'
        f'{without_script}</div>\n<script type="application/gzip">{data}</script>\n'
        f"<style>{style}</style>\n<script>(() => {{\n{scripts}\n}})();</script>\n</div>"
    )


def explorer_page(fragment, title):
    """Wrap what `explorer` returns into a page of its own."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
        f'<meta name="color-scheme" content="light dark">\n'
        f'<meta name="generator" content="{MARK}">\n'
        "<style>h1 { font: 600 1.5rem system-ui, sans-serif; overflow-wrap: anywhere; }</style>\n"
        f"<title>{escape(title)}</title>\n<script>{TELL_HEIGHT}</script>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n{fragment}\n</body>\n</html>\n"
    )


def _read(name):
    """Read a script or style without comments on lines of their own and without indentation."""
    lines = map(str.strip, (HERE / name).read_text(encoding="utf-8").splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))
