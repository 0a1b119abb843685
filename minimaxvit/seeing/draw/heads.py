"""How widely and how far each head looks, relative to a head with uniform attention weights."""

from textwrap import fill

from matplotlib.figure import Figure

from .style import DPI

FONT = 12  # large enough for a page of 400 pixels
LINE = 66  # characters of a title that fit into one line
MARKS = "os^D"  # one for each network


def draw_heads(layers, title):
    """Draw one line per head: how many keys it attends to, and how far away they are.

    `layers` is {layer: {network: Heads}}, with the same networks in each layer; the marks of a head
    are on one line. Distances are relative to uniform weights. Returns the figure and its alt text.
    """
    lines, described = [], []  # (text, {network: (keys, distance)}) per line, from the top
    for layer, networks in layers.items():
        lines.append((layer, {}))
        for network, heads in networks.items():
            described.append(f"{layer}, {network}: {_describe(heads)}")
        for head in range(len(next(iter(networks.values())).keys)):
            values = {network: _relative(heads, head) for network, heads in networks.items()}
            lines.append((f"head {head + 1}", values))
    figure = Figure(figsize=(7, 1.6 + 0.3 * len(lines)), dpi=DPI, layout="constrained")
    figure.suptitle(fill(title, LINE), fontsize=FONT)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, lines, 0, "effective keys")
    _draw(right, lines, 1, "mean distance\n(uniform weights: 1)")
    right.axvline(1, color="0.6", lw=1, zorder=0)
    left.set_xlim(left=0)
    left.set_yticks(range(len(lines)), [text for text, _ in lines])
    left.set_ylim(len(lines) - 0.5, -0.5)
    handles, labels = left.get_legend_handles_labels()
    found = dict(zip(labels, handles, strict=True))  # one for each network
    figure.legend(
        found.values(), found, loc="outside lower center", ncols=len(found), fontsize=FONT
    )
    return figure, f"{title}. {'; '.join(described)}."


def _relative(heads, head):
    return heads.keys[head].item(), heads.distance[head].item() / heads.even


def _draw(axes, lines, which, name):
    for line, (_, values) in enumerate(lines):
        axes.axhline(line, color="0.9" if values else "none", lw=1, zorder=0)
        for mark, (network, value) in zip(MARKS, values.items(), strict=False):
            last = mark == MARKS[len(values) - 1]  # it stands out, and shows those below
            look = {"color": "black", "mfc": "black" if last else "white", "ms": 7 if last else 11}
            axes.plot(value[which], line, mark, ls="none", label=network, **look)
    axes.set_xlabel(name, fontsize=FONT)
    axes.tick_params(labelsize=FONT)
    axes.tick_params("y", length=0)
    axes.margins(x=0.1)


def _describe(heads):
    return (
        f"heads 1 to {len(heads.keys)} attend to {_list(heads.keys)} keys, "
        f"{_list(heads.distance)} pixels away, where uniform weights are {heads.even:.1f} away"
    )


def _list(numbers):
    return ", ".join(f"{number:.1f}" for number in numbers.tolist())
