"""A bar for each kind of operation, whose length is its number of multiply-adds."""

from matplotlib.figure import Figure

from .style import DPI


def draw_costs(costs, title):
    """Draw a bar for each kind of `multiply_adds`, {kind: count}, with its number beside it.

    Returns the figure and its alt text.
    """
    total = sum(costs.values())
    labels = [f"{count / 1e6:,.1f} M, {count / total:.1%}" for count in costs.values()]
    figure = Figure(figsize=(7.6, 0.9 + 0.4 * len(costs)), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(list(costs), [count / 1e6 for count in costs.values()], color="0.6")
    axes.bar_label(bars, labels, padding=4)
    axes.invert_yaxis()  # the costliest on top
    axes.margins(x=0.4)  # for the labels
    axes.set(title=title, xlabel="millions of multiply-adds")
    described = "; ".join(f"{kind} {label}" for kind, label in zip(costs, labels, strict=True))
    return figure, f"{title}. Multiply-adds: {described}; in all {total / 1e6:,.1f} M."
