"""A ladder of changes, one bar a step, with every seed and with what else a step changed."""

from statistics import mean
from textwrap import fill

from matplotlib.figure import Figure

from .comparison import by_name
from .style import DPI

FONT = 11


def draw_ladder(rows, notes, title):
    """Draw a bar for each of `notes`, in their order: the mean accuracy, with a dot for each seed.

    `rows` are {"name", "seed", "result": {"accuracy"}}; `notes`, {name: text}, are written beside
    the bars. Bars begin at 0. Returns the figure and its alt text.
    """
    accuracies = by_name(rows)
    figure = Figure(figsize=(7.6, 1.1 + 0.55 * len(notes)), dpi=DPI, layout="constrained")
    figure.suptitle(fill(title, 70), fontsize=FONT + 1)
    axes, described = figure.subplots(), []
    for line, (name, note) in enumerate(notes.items()):
        percents = [100 * value for value in accuracies[name]]
        axes.barh(line, mean(percents), height=0.62, color="0.82")
        axes.plot(percents, [line] * len(percents), "o", color="black", mfc="none")
        axes.text(1, line, note, va="center", fontsize=FONT - 1)
        axes.text(max(percents) + 1.5, line, f"{mean(percents):.1f}", va="center", fontsize=FONT)
        seeds = " and ".join(f"{percent:.1f}" for percent in percents)
        described.append(f"{name} ({note}): {mean(percents):.1f}, from {seeds}")
    axes.set_yticks(range(len(notes)), list(notes), fontsize=FONT)
    axes.set(xlabel="accuracy (%): bars are means, one circle per seed")
    axes.set_xlim(0, 100 * max(map(max, accuracies.values())) + 8)  # room for the means
    axes.invert_yaxis()  # the first step on top
    axes.spines[["top", "right"]].set_visible(False)
    return figure, f"{title}. Accuracy in percent: {'; '.join(described)}."
