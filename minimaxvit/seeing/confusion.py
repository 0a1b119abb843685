"""What a network takes for what: its confusion table, and the pictures behind it."""

from math import ceil

import numpy as np
from matplotlib.figure import Figure

from .partitions import DPI

COLUMNS = 5


def draw_confusion(confusion, classes):
    """Draw a table of counts, a row a true class, a column a guess; what is right stands framed.

    `confusion` is int (classes, classes), as `evaluate` gives it. Returns figure and sentence.
    """
    counts = np.asarray(confusion)
    wrong = counts * (1 - np.eye(len(counts), dtype=int))
    true, guess = np.unravel_index(wrong.argmax(), wrong.shape)
    right = counts.diagonal() / counts.sum(1)
    title = (
        f"{classes[true]} is taken for {classes[guess]} most often: {wrong[true, guess]} of "
        f"{counts[true].sum()}"
    )
    figure = Figure(figsize=(7.2, 6.4), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=11)
    axes = figure.subplots()
    axes.imshow(wrong, cmap="Greys", vmax=2 * wrong.max() or 1)
    for (row, column), count in np.ndenumerate(counts):
        weight = "bold" if row == column else "normal"
        axes.text(column, row, count, ha="center", va="center", weight=weight, fontsize=9)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="guessed (bold: rightly)", ylabel="true")
    best, worst = right.argmax(), right.argmin()
    return figure, (
        f"{title}. Rightly named are {counts.trace()} of {counts.sum()}; best {classes[best]} "
        f"({right[best]:.1%}), worst {classes[worst]} ({right[worst]:.1%})."
    )


def draw_guesses(images, labels, guesses, classes, title):
    """Draw pictures, each under its true class and what it was taken for.

    `images` is uint8 (n, 3, h, w), `labels` and `guesses` int (n,). Returns figure and sentence.
    """
    rows = ceil(len(images) / COLUMNS)
    figure = Figure(figsize=(1.6 * COLUMNS, 0.5 + 2.1 * rows), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=11)
    said = [
        f"{classes[label]}, not {classes[guess]}" if label != guess else classes[label]
        for label, guess in zip(labels, guesses, strict=True)
    ]
    for place, (image, words) in enumerate(zip(images, said, strict=True), start=1):
        axes = figure.add_subplot(rows, COLUMNS, place)
        axes.imshow(np.asarray(image).transpose(1, 2, 0))
        axes.set_title(words.replace(", ", ",\n"), fontsize=9)
        axes.axis("off")
    return figure, f"{title}: {'; '.join(said)}."
