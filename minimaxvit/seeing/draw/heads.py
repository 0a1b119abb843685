"""How widely and how far each head looks, relative to a head with uniform attention weights."""

from collections import defaultdict
from itertools import cycle

from matplotlib.figure import Figure

from .style import DPI

MARKS = "so^Dv"


def draw_heads(layers, title):
    """Draw one numbered dot per head: how many keys it attends to, and how far away they are.

    Both are relative to uniform weights. `layers` is {label: (Heads, s)}, where s is the number of
    keys in a group. Returns the figure and its alt text.
    """
    figure = Figure(figsize=(6.8, 4.8), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=11)
    axes = figure.subplots()
    described = []
    # Labels go above and below the dots, layer by layer, because dots of untrained layers coincide.
    styles = zip(cycle(MARKS), cycle([(6, 6), (6, -14)]), layers.items(), strict=False)
    for mark, offset, (label, (heads, s)) in styles:
        across, up = (heads.distance / heads.even).cpu(), (heads.keys / s).cpu()
        axes.plot(across, up, mark, color="0.35", mfc="none", ms=9, label=label)
        names = defaultdict(list)  # heads whose dots lie on one another share a label
        for number, place in enumerate(zip(across.tolist(), up.tolist(), strict=True), start=1):
            names[tuple(round(each, 2) for each in place)].append(str(number))
        for place, numbers in names.items():
            text = ", ".join(numbers)
            axes.annotate(text, place, offset, textcoords="offset points", fontsize=9)
        described.append(
            f"{label}: heads 1 to {len(across)} attend to {_list(heads.keys)} of {s} keys, "
            f"{_list(heads.distance)} pixels away, where uniform weights are {heads.even:.1f} away"
        )
    axes.axvline(1, color="0.7", lw=1)
    axes.axhline(1, color="0.7", lw=1)
    axes.set(
        xlabel="mean distance, relative to uniform weights",
        ylabel="effective keys, as a fraction of all",
    )
    axes.margins(0.12)
    axes.legend()
    return figure, f"{title}. {'; '.join(described)}."


def _list(numbers):
    return ", ".join(f"{number:.1f}" for number in numbers.tolist())
