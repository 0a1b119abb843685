"""What the scale of scores does to attention: the largest weight against the head dimension."""

from matplotlib.figure import Figure

from .style import DPI

STYLES = ("s--", "o-", "^:")


def draw_scales(dims, largest, keys):
    """Draw the mean largest attention weight against the head dimension, one line per scale.

    `largest` is {scale: one weight per dimension}, in the order of `dims`; `keys` is the number of
    keys, of which each would have the weight drawn in gray if all were equal. Returns the figure
    and its alt text.
    """
    spread = {scale: max(weights) - min(weights) for scale, weights in largest.items()}
    steadiest = min(spread, key=spread.get)
    title = f"With scores {steadiest}, the largest weight changes least as d grows"
    figure = Figure(figsize=(5.8, 4.4), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=11)
    axes = figure.subplots()
    for style, (scale, weights) in zip(STYLES, largest.items(), strict=True):
        axes.plot(dims, weights, style, color="0.2", label=scale)
        axes.annotate(scale, (dims[-1], weights[-1]), (8, 4), textcoords="offset points")
    axes.axhline(1 / keys, color="0.6", lw=1)
    axes.annotate(f"uniform: 1/{keys}", (dims[0], 1 / keys), (0, -12), textcoords="offset points")
    axes.set_xscale("log", base=2)
    axes.set_xticks(dims, dims)
    axes.set(xlabel="dimension d of a query", ylabel="largest weight, mean over queries")
    axes.set(ylim=(-0.07, 1), xlim=(dims[0] / 1.3, dims[-1] * 9))
    return figure, _describe(title, dims, largest, keys)


def _describe(title, dims, largest, keys):
    ends = (
        f"{scale} {weights[0]:.2f} at dimension {dims[0]}, {weights[-1]:.2f} at {dims[-1]}"
        for scale, weights in largest.items()
    )
    return f"{title}. Largest of {keys} weights, mean over queries: {'; '.join(ends)}."
