"""How a training run went: its loss and its accuracies, epoch by epoch."""

from matplotlib.figure import Figure

from .style import DPI

MEASURED = ("loss", "train_accuracy", "val_accuracy")


def series(history, key):
    """The epochs of a record's history in which `key` was measured, and its values."""
    rows = [row for row in history if row.get(key) is not None]
    return [row["epoch"] for row in rows], [row[key] for row in rows]


def describe_history(history, source):
    """Say what the curves show, and of which images: returns a title and the alt text."""
    loss, train, val = (series(history, key)[1] for key in MEASURED)
    takeaway = f"{source}: training accuracy ends at {train[-1]:.1%}"
    takeaway += "; no images were held out for validation"
    if val:
        gap = 100 * (val[-1] - train[-1])
        takeaway = (
            f"{source}: validation accuracy ends at {val[-1]:.1%}, "
            f"{abs(gap):.1f} points {'below' if gap < 0 else 'above'} training"
        )
    alt = (
        f"{takeaway}. From epoch {history[0]['epoch']} to epoch {history[-1]['epoch']}, the loss "
        f"goes from {loss[0]:.3f} to {loss[-1]:.3f}, training accuracy from {train[0]:.1%} to "
        f"{train[-1]:.1%}"
    )
    if val:
        alt += f", validation accuracy from {val[0]:.1%} to {val[-1]:.1%}"
        alt += f"; the best validation accuracy is {max(val):.1%}"
    return takeaway, alt + "."


def draw_history(history, source):
    """Draw accuracies below the loss, legible also on the small screen of a phone.

    `history` is that of a record of `fit`, `source` names its data. Returns the figure and its alt
    text.
    """
    takeaway, alt = describe_history(history, source)
    figure = Figure(figsize=(6.4, 5.6), dpi=DPI, layout="constrained")
    figure.suptitle(takeaway, fontsize=11)
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(*series(history, "loss"), "o-", color="0.35", ms=3)
    above.set_ylabel("training loss")
    for key, style in (("train_accuracy", "s--"), ("val_accuracy", "o-")):
        epochs, values = series(history, key)
        if not epochs:
            continue
        below.plot(epochs, [100 * value for value in values], style, ms=3, label=key.split("_")[0])
    below.set(xlabel="epoch", ylabel="accuracy (%)")
    below.xaxis.get_major_locator().set_params(integer=True)
    below.legend()
    return figure, alt
