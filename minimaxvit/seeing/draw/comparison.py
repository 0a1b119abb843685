"""Networks, or recipes, compared: one dot per seed, so that luck can be seen."""

from statistics import mean, stdev

from matplotlib.figure import Figure

from .style import DPI


def by_name(rows, key="accuracy"):
    """Group rows {"name", "seed", "result": {key}} by name, best first: {name: [one per seed]}."""
    accuracies = {}
    for row in sorted(rows, key=lambda row: row["seed"]):
        accuracies.setdefault(row["name"], []).append(row["result"][key])
    return dict(sorted(accuracies.items(), key=lambda item: -mean(item[1])))


def spread(accuracies):
    """Write mean and standard deviation in percent; a single run has no deviation, and says so."""
    if len(accuracies) == 1:
        return f"{100 * accuracies[0]:.1f} (one seed)"
    return f"{100 * mean(accuracies):.1f} ± {100 * stdev(accuracies):.1f}"


def pooled_deviation(accuracies):
    """Estimate one standard deviation of a seed from all rows: {name: [one per seed]} -> float.

    Single rows have too few seeds to tell their own. None if no row has two seeds.
    """
    squares = [(value - mean(values)) ** 2 for values in accuracies.values() for value in values]
    freedom = len(squares) - len(accuracies)
    return (sum(squares) / freedom) ** 0.5 if freedom else None


def places(accuracies, deviation):
    """Rank {name: [one per seed]}: {name: "1"}, or "2 to 4" among those that seeds cannot part.

    `deviation` is one standard deviation of a run, s; the means of n and m runs then differ by one
    of s sqrt(1/n + 1/m) through luck alone. A network shares the places of all whose mean is within
    two of these of its own: luck exceeds that in one pair of twenty. {} without a `deviation`.
    """
    if deviation is None:
        return {}
    ranges = {}
    for name, own in accuracies.items():
        first, last = 1, 0
        for other in accuracies.values():
            luck = 2 * deviation * (1 / len(own) + 1 / len(other)) ** 0.5
            first += mean(other) > mean(own) + luck
            last += mean(other) >= mean(own) - luck
        ranges[name] = f"{first} to {last}" if first < last else f"{first}"
    return ranges


def draw_comparison(rows, title, marked=None):
    """Draw one row per name, best first, with one dot per seed.

    `rows` are {"name", "seed", "result": {"accuracy"}}. With `marked`, the name of a row, that row
    is set in bold, and a band shows one standard deviation, pooled over all rows, around its mean,
    if any row has two seeds. Returns the figure and its alt text.
    """
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
    axes.set(
        xlabel="accuracy (%): one circle per seed, a bar for their mean", ylim=(len(accuracies), -1)
    )
    band = ""
    if marked:
        axes.get_yticklabels()[list(accuracies).index(marked)].set_weight("bold")
    if marked and (deviation := pooled_deviation(accuracies)) is not None:
        center, deviation = 100 * mean(accuracies[marked]), 100 * deviation
        axes.axvspan(center - deviation, center + deviation, color="0.9", zorder=0)
        band = (
            f" The band around {marked} is one pooled standard deviation, {deviation:.1f} points."
        )
    axes.margins(x=0.45)  # room for the labels
    low, high = axes.get_xlim()
    axes.set_xticks([tick for tick in axes.get_xticks() if low < tick < high and 0 <= tick <= 100])
    axes.set_xlim(max(low, 0), high)
    axes.grid(axis="x", color="0.9")
    described = "; ".join(f"{name}: {spread(values)}" for name, values in accuracies.items())
    return figure, f"{title}. Accuracy in percent: {described}.{band}"


def comparison_table(names, by_time, by_steps):
    """Write what networks reached at equal time and at equal epochs, best first, as lines of text.

    Each record is {"rows"}, and that of equal time has {"seconds", "steps": {name: how many fit}},
    too. Places are among `names`; what has not been trained yet has a dash, or is left out.
    """
    sizes = {row["name"]: row["parameters"] for row in by_time["rows"]}
    timed, stepped = _with_places(by_time["rows"], names), _with_places(by_steps["rows"], names)
    lines = ["network        parameters  step (s)   equal time (%)   place     "]
    lines[0] += "equal epochs (%)  place"
    for name, (accuracy, place) in timed.items():
        step = by_time["seconds"] / by_time["steps"][name]
        line = f"{name:14}{sizes[name]:11,}{step:10.2f}   {accuracy:17}{place:10}"
        accuracy, place = stepped.get(name, ("–", "–"))
        lines.append(f"{line}{accuracy:18}{place}")
    return "\n".join(lines)


def _with_places(rows, names):
    """What each of `names` reached, and its place among them: {name: (accuracy, place)}."""
    accuracies = by_name(rows)
    deviation = pooled_deviation(accuracies)  # of all rows, so that it is known better
    accuracies = {name: each for name, each in accuracies.items() if name in names}
    ranks = places(accuracies, deviation)
    return {name: (spread(each), ranks.get(name, "–")) for name, each in accuracies.items()}
