"""One self-contained piece of HTML in which to look around in a network: attention and fields."""

import json
from contextlib import ExitStack
from html import escape
from pathlib import Path

from ..evaluating import evaluating
from .payload import payload
from .still import still

HERE = Path(__file__).parent
SCRIPTS = (  # in the order in which they are written, helpers first
    "attention.js",
    "field.js",
    "draw.js",
    "attention-view.js",
    "fields-view.js",
    "rule-view.js",
    "explorer.js",
)


def explorer(networks, images, names, classes):
    """Build the explorer, a piece of HTML that needs no network, no kernel and no other file.

    `networks` is {label: MaxViT}, all of one configuration, so that one can be held against the
    other; `images` uint8 (n, 3, h, w), `names` their names, `classes` what the networks tell
    apart. Without JavaScript a picture, a sentence and a table remain. ValueError for networks of
    several configurations or without attention, and for a number of names that does not fit.
    """
    configurations = {label: model.config for label, model in networks.items()}
    first, *others = configurations
    for label in others:
        if configurations[label] != configurations[first]:
            raise ValueError(
                f"the weights of {label!r} are of another configuration than those of {first!r}; "
                f"explore them one by one"
            )
    if len(names) != len(images):
        raise ValueError(f"{len(images)} pictures need as many names, got {len(names)}")
    for label, model in networks.items():
        if len(classes) != model.config.num_classes:
            raise ValueError(
                f"{label!r} tells {model.config.num_classes} classes apart, but {len(classes)} are "
                f"named"
            )
    with ExitStack() as modes:
        for model in networks.values():
            modes.enter_context(evaluating(model))
        carried = payload(networks, images, names, classes)
        without_script = still(networks[first], images[0], names[0])
    data = json.dumps(carried, separators=(",", ":"), allow_nan=False)
    data = data.replace("<", "\\u003c")  # no name may close the element
    style, scripts = _read("explorer.css"), "\n".join(map(_read, SCRIPTS))
    # The attribute keeps JupyterLab's own shortcuts away from our keys.
    return (
        f'<div class="mmv-explorer" data-lm-suppress-shortcuts="true">\n<div class="mmv-still">'
        f'{without_script}</div>\n<script type="application/json">{data}</script>\n'
        f"<style>{style}</style>\n<script>(() => {{\n{scripts}\n}})();</script>\n</div>"
    )


def explorer_page(fragment, title):
    """Wrap what `explorer` gives into a page of its own."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n{fragment}\n</body>\n</html>\n"
    )


def _read(name):
    return (HERE / name).read_text(encoding="utf-8")
