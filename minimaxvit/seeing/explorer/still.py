"""What remains of the explorer where no script may run: a picture, a sentence, a table."""

import base64
from html import escape
from io import BytesIO

import numpy as np
import torch
from matplotlib.figure import Figure

from ...block import BlockAttention
from ..evaluating import ready
from ..field import layers
from ..heads import measure_heads
from ..partitions import DPI, frame
from ..recording import record_attention

PLACES = ((0.25, 0.25), (0.5, 0.5), (0.8, 0.4))  # of the queries, as shares of the sides


def still(model, image, name):
    """Tell of the first block and grid attention of one size: HTML without script."""
    with record_attention(model) as maps, torch.no_grad():
        model(ready(model, image[None]))
    chosen = _pair(model, maps)
    figure, sentence = draw_looks(image.permute(1, 2, 0).cpu().numpy(), chosen)
    png = BytesIO()
    figure.savefig(png, format="png")
    data = base64.b64encode(png.getvalue()).decode()
    rows = "".join(
        f"<tr><td>{escape(layer)}</td><td>{head}</td><td>{share:.3f} on row {row}, column {column}"
        f"</td><td>{bits:.2f}</td><td>{apart:.1f}</td></tr>"
        for layer, attention in chosen.items()
        for head, row, column, share, bits, apart in _tell_heads(attention)
    )
    return (
        f'<p>{escape(name)}: without JavaScript, three queries stand for all.</p>\n<img alt="'
        f'{escape(sentence)}" src="data:image/png;base64,{data}">\n<details><summary>Each head, '
        f"from the middle of the map</summary><table><tr><th>layer</th><th>head</th><th>strongest "
        f"key</th><th>entropy in bits, mean</th><th>distance in pixels, mean</th></tr>{rows}"
        f"</table></details>"
    )


def _pair(model, maps):
    """The first block and the first grid attention on maps of one size, or what there is."""
    named = layers(model)
    first = next(iter(maps))
    kind = isinstance(named[first], BlockAttention)
    for other, attention in maps.items():
        other_kind = isinstance(named[other], BlockAttention)
        if other_kind != kind and attention.size == maps[first].size:
            return {first: maps[first], other: attention}
    return {first: maps[first]}


def queries(size):
    return [(int(down * size[0]), int(right * size[1])) for down, right in PLACES]


def draw_looks(picture, attentions):
    """Draw what three queries look at, mean of heads, a row a layer, on one scale.

    `attentions` is {layer: Attention} of one picture. Returns the figure and a sentence.
    """
    figure = Figure(figsize=(9, 0.4 + 3.3 * len(attentions)), dpi=DPI, layout="constrained")
    figure.suptitle("What three framed queries look at; hatched: outside their group", fontsize=11)
    rows = {
        name: [
            attention.row(query, attention.weights())[0].mean(0).cpu().numpy()
            for query in queries(attention.size)
        ]
        for name, attention in attentions.items()
    }
    most = max(shares.max() for several in rows.values() for shares in several)
    told = []
    grid = figure.subplots(len(attentions), len(PLACES), squeeze=False)
    for line, (name, attention) in zip(grid, attentions.items(), strict=True):
        h, w = attention.size
        for axes, query, shares in zip(line, queries((h, w)), rows[name], strict=True):
            box = -0.5, w - 0.5, h - 0.5, -0.5
            axes.patch.set(hatch="////", facecolor="white", edgecolor="grey")
            axes.imshow(picture, extent=box, alpha=0.25)
            axes.imshow(np.ma.masked_equal(shares, 0), cmap="Greys", vmin=0, vmax=most, extent=box)
            frame(axes, *query)
            top = np.unravel_index(shares.argmax(), (h, w))
            axes.set_title(f"{name}: {shares.max():.0%} at {top[0]}, {top[1]}", fontsize=9)
            axes.set(xticks=[], yticks=[])
            told.append(
                f"{name} from row {query[0]}, column {query[1]}: {(shares > 0).sum()} of {h * w} "
                f"tokens, most ({shares.max():.0%}) row {top[0]}, column {top[1]}"
            )
    return figure, f"What three queries look at, mean of heads. {'; '.join(told)}."


def _tell_heads(attention):
    """Yield of each head its number, strongest key from the middle, share, entropy, distance."""
    weights = attention.weights()
    heads = measure_heads(attention, weights)
    h, w = attention.size
    rows = attention.row((h // 2, w // 2), weights)[0]  # (heads, h, w)
    for head, row in enumerate(rows):
        top = divmod(row.argmax().item(), w)
        told = row.max().item(), heads.entropy[head].item(), heads.distance[head].item()
        yield head + 1, *top, *told
