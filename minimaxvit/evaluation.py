"""Judge a trained network: what it takes for what, and how often it is right."""

import torch

from .data import normalise

MISTAKES = 10  # of the pictures named wrongly, the first that a record tells


@torch.inference_mode()
def guess(model, pictures, batch_size=500, flip=False):
    """Name the likeliest class of each picture: long (n,), on the device of the pictures.

    With `flip`, each is judged by the mean of its logits and those of its mirror image.
    """
    model.eval()
    guesses = []
    for images in pictures.images.split(batch_size):
        logits = model(normalise(images))
        if flip:
            logits = logits + model(normalise(images.flip(3)))
        guesses.append(logits.argmax(1))
    return torch.cat(guesses)


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
    guesses = guess(model, pictures)
    accuracy, confusion = tabulate(guesses, pictures)
    with_flip, _ = evaluate(model, pictures, flip=True)
    wrong = (guesses != pictures.labels).nonzero().flatten()[:MISTAKES]
    mistakes = {"pictures": wrong, "labels": pictures.labels[wrong], "guesses": guesses[wrong]}
    return {
        "result": {"accuracy": accuracy, "accuracy_with_flip": with_flip},
        "confusion": confusion.tolist(),
        "mistakes": {what: numbers.tolist() for what, numbers in mistakes.items()},
    }
