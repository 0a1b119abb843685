"""How a training run went: its loss and accuracies, drawn and told."""

from matplotlib.figure import Figure

from .partitions import DPI

MEASURED = ("loss", "train_accuracy", "validation_accuracy")


def series(history, key):
    """The epochs of a record's history that measured `key`, and what they measured."""
    rows = [row for row in history if row.get(key) is not None]
    return [row["epoch"] for row in rows], [row[key] for row in rows]


def describe_history(history, source):
    """Say what the curves show and of which pictures: a title, and a sentence with the numbers."""
    loss, train, validation = (series(history, key)[1] for key in MEASURED)
    takeaway = f"{source}: training accuracy ends at {train[-1]:.1%}"
    takeaway += "; no pictures were held out to validate"
    if validation:
        gap = 100 * (validation[-1] - train[-1])
        takeaway = (
            f"{source}: validation accuracy ends at {validation[-1]:.1%}, "
            f"{abs(gap):.1f} points {'below' if gap < 0 else 'above'} training"
        )
    sentence = (
        f"{takeaway}. From epoch {history[0]['epoch']} to epoch {history[-1]['epoch']}, the loss "
        f"goes from {loss[0]:.3f} to {loss[-1]:.3f}, training accuracy from {train[0]:.1%} to "
        f"{train[-1]:.1%}"
    )
    if validation:
        sentence += f", validation accuracy from {validation[0]:.1%} to {validation[-1]:.1%}"
        sentence += f"; the best validation accuracy is {max(validation):.1%}"
    return takeaway, sentence + "."


def draw_history(history, source):
    """Draw loss and accuracies under each other, readable also when a phone shrinks them.

    `history` is that of a record of `fit`. Returns the figure and a sentence with its numbers.
    """
    takeaway, sentence = describe_history(history, source)
    figure = Figure(figsize=(6.4, 5.6), dpi=DPI, layout="constrained")
    figure.suptitle(takeaway, fontsize=11)
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(*series(history, "loss"), "o-", color="0.35", ms=3)
    above.set_ylabel("training loss")
    for key, style in (("train_accuracy", "s--"), ("validation_accuracy", "o-")):
        epochs, values = series(history, key)
        if not epochs:
            continue
        below.plot(epochs, [100 * value for value in values], style, ms=3, label=key.split("_")[0])
    below.set(xlabel="epoch", ylabel="accuracy (%)")
    below.xaxis.get_major_locator().set_params(integer=True)
    below.legend()
    return figure, sentence
