"""What a scale does to attention: the largest share of a softmax against the width of a head."""

from matplotlib.figure import Figure

from .partitions import DPI

STYLES = ("s--", "o-", "^:")


def draw_scales(widths, largest, keys):
    """Draw the mean largest share against the width, a line a scale; in grey an even share.

    `largest` is {scale: one share a width}, in the order of `widths`, `keys` the number of tokens
    among which the shares are dealt out. Returns the figure and a sentence with its numbers.
    """
    figure = Figure(figsize=(6.8, 4.2), dpi=DPI, layout="constrained")
    figure.suptitle("Only the square root keeps the shares steady as queries and keys get wider")
    axes = figure.subplots()
    for style, (scale, shares) in zip(STYLES, largest.items(), strict=True):
        axes.plot(widths, shares, style, color="0.2", label=scale)
        axes.annotate(scale, (widths[-1], shares[-1]), (8, 4), textcoords="offset points")
    axes.axhline(1 / keys, color="0.6", lw=1)
    axes.annotate(f"even: 1/{keys}", (widths[0], 1 / keys), (0, -12), textcoords="offset points")
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, widths)
    axes.set(xlabel="width d of query and key", ylabel="largest share, mean over queries")
    axes.set(ylim=(-0.06, 1), xlim=(widths[0] / 1.3, widths[-1] * 7))
    return figure, _describe(widths, largest, keys)


def _describe(widths, largest, keys):
    ends = (
        f"{scale} {shares[0]:.2f} at width {widths[0]}, {shares[-1]:.2f} at {widths[-1]}"
        for scale, shares in largest.items()
    )
    return f"Largest of {keys} shares, mean over queries: {'; '.join(ends)}."
