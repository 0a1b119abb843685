"""The relative position index as a number of two digits: the offset down, and the offset right."""

import numpy as np
from matplotlib.figure import Figure

from .style import DPI


def draw_index(down, right):
    """Draw, for every pair of a window, how its two offsets make its index, with every number.

    `down` and `right` are (t, t), one row per query and one column per key: the offsets, counted
    from 0. Returns the figure, of down digit times row length, right digit and index, and its alt
    text.
    """
    down, right = np.asarray(down), np.asarray(right)
    step = int(right.max()) + 1  # 2p - 1, the numbers in a row of the table
    index = down * step + right
    panels = [
        (
            f"down digit × {step}",
            down * step,
            [[f"{digit}×{step}" for digit in row] for row in down],
        ),
        ("+  right digit", right, right),
        ("=  index", index, index),
    ]
    title = f"An index has two digits: down counts {step}s, right counts 1s"
    figure = Figure(figsize=(7.2, 2.9), dpi=DPI, layout="constrained")
    figure.suptitle(title)
    for axes, (label, numbers, written) in zip(figure.subplots(1, 3), panels, strict=True):
        _draw_numbers(axes, numbers, written, index.max())
        axes.set_title(label)
    return figure, f"{title}. {_describe(down, right, step)}"


def _draw_numbers(axes, numbers, written, high):
    axes.imshow(numbers, cmap="cividis", vmin=0, vmax=high)  # one scale, so that shades add up, too
    for (query, key), number in np.ndenumerate(numbers):
        color = "black" if 2 * number > high else "white"
        place = {"ha": "center", "va": "center", "fontsize": 12}
        axes.text(key, query, written[query][key], color=color, **place)
    axes.set(xlabel="key", ylabel="query", xticks=range(len(numbers)), yticks=range(len(numbers)))


def _describe(down, right, step):
    rows = []
    for query, digits in enumerate(np.stack([down, right], -1).tolist()):
        sums = (f"{d}×{step}+{r}={d * step + r}" for d, r in digits)
        rows.append(f"query {query}: {', '.join(sums)}")
    return "; ".join(rows) + "."
