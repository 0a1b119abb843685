"""Networks, or recipes, beside one another: every seed a dot, so that luck can be seen."""

from statistics import mean, stdev

from matplotlib.figure import Figure

from .partitions import DPI


def by_name(rows, key="accuracy"):
    """Group rows {"name", "seed", "result": {key}} by name, best first: {name: one a seed}."""
    accuracies = {}
    for row in sorted(rows, key=lambda row: row["seed"]):
        accuracies.setdefault(row["name"], []).append(row["result"][key])
    return dict(sorted(accuracies.items(), key=lambda item: -mean(item[1])))


def spread(accuracies):
    """Write mean and standard deviation in percent; a single run has none, and says so."""
    if len(accuracies) == 1:
        return f"{100 * accuracies[0]:.1f} (one seed)"
    return f"{100 * mean(accuracies):.1f} ± {100 * stdev(accuracies):.1f}"


def draw_comparison(rows, title):
    """Draw a line a name, best first, and a dot a seed. Returns the figure and its sentence."""
    accuracies = by_name(rows)
    figure = Figure(figsize=(7.6, 1.2 + 0.42 * len(accuracies)), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=11)
    axes = figure.subplots()
    for line, values in enumerate(accuracies.values()):
        percents = [100 * value for value in values]
        axes.plot(percents, [line] * len(values), "o", color="0.35", mfc="none")
        axes.plot(mean(percents), line, "|", color="black", ms=18, mew=2)
        axes.annotate(
            spread(values), (max(percents), line), (8, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(range(len(accuracies)), list(accuracies))
    axes.set(xlabel="accuracy (%), a circle a seed, a bar their mean", ylim=(len(accuracies), -1))
    axes.margins(x=0.45)  # room for the labels
    axes.grid(axis="x", color="0.9")
    told = "; ".join(f"{name}: {spread(values)}" for name, values in accuracies.items())
    return figure, f"{title}. Accuracy in percent: {told}."
