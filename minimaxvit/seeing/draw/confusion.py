"""Which classes a network confuses: its confusion matrix, and predictions on single images."""

from math import ceil

import numpy as np
from matplotlib.figure import Figure

from .style import DPI

COLUMNS = 5


def draw_confusion(confusion, classes):
    """Draw a confusion matrix, one row per true class and one column per predicted class.

    `confusion` is int (classes, classes), as `evaluate` returns it; what is correct is bold.
    Returns the figure and its alt text.
    """
    counts = np.asarray(confusion)
    wrong = counts * (1 - np.eye(len(counts), dtype=int))
    true, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
    recall = counts.diagonal() / np.maximum(counts.sum(1), 1)  # a class may be absent
    title = (
        f"The most frequent mistake: {classes[true]}, predicted as {classes[predicted]} "
        f"({wrong[true, predicted]} of {counts[true].sum()})"
    )
    if not wrong.any():
        title = "Every image is classified correctly"
    figure = Figure(figsize=(7.2, 6.4), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=11)
    axes = figure.subplots()
    axes.imshow(wrong, cmap="Greys", vmax=2 * wrong.max() or 1)
    for (row, column), count in np.ndenumerate(counts):
        weight = "bold" if row == column else "normal"
        axes.text(column, row, count, ha="center", va="center", weight=weight, fontsize=9)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted class (bold: correct)", ylabel="true class")
    best, worst = recall.argmax(), recall.argmin()
    return figure, (
        f"{title}. {counts.trace()} of {counts.sum()} are classified correctly; best "
        f"{classes[best]} ({recall[best]:.1%}), worst {classes[worst]} ({recall[worst]:.1%})."
    )


def draw_predictions(images, labels, predictions, classes, title):
    """Draw images, each under its true class and, where that is wrong, the predicted one.

    `images` is uint8 (n, 3, h, w), `labels` and `predictions` int (n,). Returns the figure and its
    alt text.
    """
    rows = ceil(len(images) / COLUMNS)
    figure = Figure(figsize=(1.35 * COLUMNS, 0.5 + 1.9 * rows), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=12)
    captions = [
        f"{classes[label]}, not {classes[predicted]}" if label != predicted else classes[label]
        for label, predicted in zip(labels, predictions, strict=True)
    ]
    for place, (image, caption) in enumerate(zip(images, captions, strict=True), start=1):
        axes = figure.add_subplot(rows, COLUMNS, place)
        axes.imshow(np.asarray(image).transpose(1, 2, 0))
        axes.set_title(caption.replace(", ", ",\n"), fontsize=11.5)
        axes.axis("off")
    return figure, f"{title}: {'; '.join(captions)}."
