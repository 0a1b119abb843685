"""Judge a trained network: what it takes for what, and how often it is right."""

import torch

from .data import normalise

MISTAKES = 10  # of the pictures named wrongly, the first that a record tells


@torch.inference_mode()
def _logits(model, images, batch_size=500):  # (n, 3, h, w) -> (n, classes)
    model.eval()
    return torch.cat([model(normalise(some)) for some in images.split(batch_size)])


def guess(model, pictures, batch_size=500, flip=False):
    """Name the likeliest class of each picture: long (n,), on the device of the pictures.

    With `flip`, each is judged by the mean of its logits and those of its mirror image.
    """
    logits = _logits(model, pictures.images, batch_size)
    if flip:
        logits = logits + _logits(model, pictures.images.flip(3), batch_size)
    return logits.argmax(1)


def tabulate(guesses, pictures):
    """Count what was taken for what: accuracy in 0..1, and a table with a row a true class."""
    confusion = torch.zeros(len(pictures.classes), len(pictures.classes), dtype=torch.long)
    places = pictures.labels.cpu(), guesses.cpu()
    confusion.index_put_(places, torch.tensor(1), accumulate=True)
    return (confusion.trace() / confusion.sum()).item(), confusion


def evaluate(model, pictures, batch_size=500, flip=False):
    """Measure accuracy in 0..1 and the confusion table: a row a true class, a column a guess."""
    return tabulate(guess(model, pictures, batch_size, flip), pictures)


def judge(model, pictures):
    """Tell in plain values what a record tells of a network: accuracies, table, first mistakes."""
    alone = _logits(model, pictures.images)
    both = alone + _logits(model, pictures.images.flip(3))
    guesses = alone.argmax(1)
    accuracy, confusion = tabulate(guesses, pictures)
    with_flip, _ = tabulate(both.argmax(1), pictures)
    wrong = (guesses != pictures.labels).nonzero().flatten()[:MISTAKES]
    mistakes = {"pictures": wrong, "labels": pictures.labels[wrong], "guesses": guesses[wrong]}
    return {
        "result": {"accuracy": accuracy, "accuracy_with_flip": with_flip},
        "confusion": confusion.tolist(),
        "mistakes": {what: numbers.tolist() for what, numbers in mistakes.items()},
    }
