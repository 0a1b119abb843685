"""The static view: what remains of the explorer where no script may run.

That is a figure, its alt text, and a table: enough to see what the lesson is about.
"""

import base64
from html import escape
from io import BytesIO
from math import isnan

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from ..draw.style import DPI, frame
from ..measure.heads import measure_heads
from ..measure.receptive_field import PIXELS, trace
from ..measure.recording import attention_maps

PLACES = ((0.25, 0.25), (0.5, 0.5), (0.8, 0.4))  # of the queries, as fractions of the sides


def static_view(model, image, name):
    """Show two attentions of one block, or how far each layer sees where nothing attends: HTML."""
    maps = {
        layer: attention
        for layer, attention in attention_maps(model, image[None]).items()
        if layer in model.layers()
    }
    title = f"{escape(name)}: without JavaScript, "
    if not maps:
        return f"<p>{title}the number of pixels that each layer sees.</p>\n{_fields(model, image)}"
    chosen = _pair(maps)
    figure, alt = draw_looks(image.permute(1, 2, 0).cpu().numpy(), chosen)
    data = base64.b64encode(_small_png(figure)).decode()
    rows = [
        (layer, head, f"{weight:.3f} at {where}", f"{bits:.2f}", _write_distance(apart))
        for layer, attention in chosen.items()
        for head, where, weight, bits, apart in _measure_each_head(attention)
    ]
    headings = ("layer", "head", "strongest key", "mean entropy in bits", "mean distance in pixels")
    return (
        f'<p>{title}three queries are shown as examples.</p>\n<img alt="{escape(alt)}" '
        f'src="data:image/png;base64,{data}">\n<details><summary>Each head of these layers: the '
        f"strongest key of the query in the middle of the map, and means over all queries</summary>"
        f"{_table(headings, rows)}</details>"
    )


def _small_png(figure):
    """Draw a figure as PNG with at most 64 colors, which takes a third of the bytes."""
    drawn, png = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png")
    image = Image.open(drawn).convert("RGB")
    image.quantize(64, dither=Image.Dither.NONE).save(png, format="png", optimize=True)
    return png.getvalue()


def _table(headings, rows):
    lines = ["".join(f"<th>{each}</th>" for each in headings)]
    lines += ["".join(f"<td>{escape(str(each))}</td>" for each in row) for row in rows]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _fields(model, image):
    """A table of how many pixels the middle token of each layer depends on."""
    size, rows = tuple(image.shape[1:]), []
    for layer in model.layers():
        h, w = trace(model, *size, layer, (0, 0))[layer].shape
        reached = trace(model, *size, layer, (h // 2, w // 2))[PIXELS] > 0
        rows.append((layer, f"{h} x {w}", f"{reached.sum()} of {reached.numel()}"))
    return _table(("layer", "map", "pixels that its middle token depends on"), rows)


def _pair(maps):
    """The first two attentions of one block on one map, or else the first alone."""
    for first, attention in maps.items():
        for other, another in maps.items():
            same_block = other != first and other.split()[0] == first.split()[0]
            if same_block and another.size == attention.size:
                return {first: attention, other: another}
    first = next(iter(maps))
    return {first: maps[first]}


def _choose_queries(attention):
    """Three queries spread over the map, or the first one if tokens of the map do not attend."""
    h, w = attention.size
    spread = [(int(down * h), int(right * w)) for down, right in PLACES]
    numbers = set(attention.queries.flatten().tolist())
    if all(row * w + column in numbers for row, column in spread):
        return spread
    return [min(numbers)]


def draw_looks(image, attentions):
    """Draw what three queries attend to, mean of heads, one column per layer, on one scale.

    Columns are narrow, so that the titles can be read on a phone, too.

    `image` is uint8 (rows, columns, 3), `attentions` {layer: Attention} of that one image.
    Returns the figure and its alt text.
    """
    columns = {
        name: {
            query: attention.row(query, attention.weights())[0].mean(0).cpu().numpy()
            for query in _choose_queries(attention)
        }
        for name, attention in attentions.items()
    }
    most = max(weights.max() for several in columns.values() for weights in several.values())
    tall = max(map(len, columns.values()))
    figure = Figure(figsize=(4, 0.9 + tall * 4.4 / len(columns)), dpi=DPI, layout="constrained")
    scale = f"white: 0%, black: {most:.0%}; hatched: outside their group"
    figure.suptitle(f"What framed queries attend to\n{scale}", fontsize=10)
    grid = figure.subplots(tall, len(columns), squeeze=False)
    described = []
    for line, (name, several) in zip(grid.T, columns.items(), strict=True):
        for axes in line:
            axes.axis("off")
        for axes, (query, weights) in zip(line, several.items(), strict=False):
            described.append(_draw_look(axes, image, name, query, weights, most))
    return figure, f"What queries attend to, mean of heads. {'; '.join(described)}."


def _draw_look(axes, image, name, query, weights, most):
    """Draw one query, and return what is seen there, in words."""
    h, w = weights.shape
    box = -0.5, w - 0.5, h - 0.5, -0.5
    axes.axis("on")
    axes.patch.set(hatch="////", facecolor="white", edgecolor="gray")
    axes.imshow(image, extent=box, alpha=0.25)
    axes.imshow(np.ma.masked_equal(weights, 0), cmap="Greys", vmin=0, vmax=most, extent=box)
    if isinstance(query, tuple):
        frame(axes, *query)
    where = f"row {query[0]}, column {query[1]}" if isinstance(query, tuple) else f"place {query}"
    row, column = np.unravel_index(weights.argmax(), (h, w))
    axes.set_title(f"{name}\n{weights.max():.0%} at row {row}, column {column}", fontsize=9)
    axes.set(xticks=[], yticks=[])
    return (
        f"{name} from {where}: {(weights > 0).sum()} of {h * w} tokens, most "
        f"({weights.max():.0%}) row {row}, column {column}"
    )


def _write_distance(apart):
    return "none" if isnan(apart) else f"{apart:.1f}"  # extra tokens lie nowhere


def _measure_each_head(attention):
    """Yield of each head its number, its strongest key on the map, weight, entropy, distance."""
    weights = attention.weights()
    heads = measure_heads(attention, weights)
    queries = _choose_queries(attention)
    rows = attention.row(queries[len(queries) // 2], weights)[0]  # (heads, h, w)
    for head, row in enumerate(rows):
        where = "row {}, column {}".format(*divmod(row.argmax().item(), row.shape[1]))
        yield (
            head + 1,
            where,
            row.max().item(),
            heads.entropy[head].item(),
            heads.distance[head].item(),
        )
