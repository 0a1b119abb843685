"""A ladder of changes, one bar a step, with every seed and with what else a step changed."""

from statistics import mean
from textwrap import fill

from matplotlib.figure import Figure

from .comparison import by_name
from .style import DPI

FONT = 11


def draw_ladder(rows, notes, title):
    """Draw a bar for each of `notes`, in their order: the mean accuracy, with `notes` inside.

    `rows` are {"name", "seed", "result": {"accuracy"}}; `notes` is {name: text}. Bars begin at 0;
    beside them the same means are enlarged, with a circle for each seed. Returns the figure and its
    alt text.
    """
    accuracies = by_name(rows)
    figure = Figure(figsize=(7.6, 1.2 + 0.55 * len(notes)), dpi=DPI, layout="constrained")
    figure.suptitle(fill(title, 70), fontsize=FONT + 1)
    whole, enlarged = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    described = []
    for line, (name, note) in enumerate(notes.items()):
        percents = [100 * value for value in accuracies[name]]
        whole.barh(line, mean(percents), height=0.62, color="0.82")
        whole.text(1, line, note, va="center", fontsize=FONT - 2)
        enlarged.plot(percents, [line] * len(percents), "o", color="0.35", mfc="none")
        enlarged.plot(mean(percents), line, "|", color="black", ms=18, mew=2)
        seeds = " and ".join(f"{percent:.1f}" for percent in percents)
        described.append(f"{name} ({note}): {mean(percents):.1f}, from {seeds}")
    whole.set_yticks(range(len(notes)), list(notes), fontsize=FONT)
    whole.set_xlabel("mean accuracy (%)")
    enlarged.set_xlabel("enlarged, a circle per seed")
    enlarged.margins(x=0.1)
    enlarged.grid(axis="x", color="0.9")
    whole.invert_yaxis()  # the first step on top
    for axes in (whole, enlarged):
        axes.spines[["top", "right"]].set_visible(False)
    return figure, f"{title}. Accuracy in percent: {'; '.join(described)}."
