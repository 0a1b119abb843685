"""Evaluate a trained network: its predictions, its accuracy and its confusion matrix."""

import torch

from ..datasets.packed_images import pack_images
from ..modes import evaluating
from ..prepare import prepare

MISTAKES = 10  # how many of the wrong predictions a record keeps


@torch.inference_mode()
def _logits(model, images, batch_size=500):  # (n, 3, h, w) -> (n, classes)
    with evaluating(model):
        return torch.cat([model(prepare(model, batch)) for batch in images.split(batch_size)])


def predict(model, data, batch_size=500, flip=False):
    """Predict the class of each image: long (n,), on the device of the images.

    With `flip`, by the sum of the logits of the image and of its mirror image.
    """
    logits = _logits(model, data.images, batch_size)
    if flip:
        logits = logits + _logits(model, data.images.flip(3), batch_size)
    return logits.argmax(1)


def confusion_matrix(predictions, data):
    """Count predictions: returns accuracy in 0..1, and long (classes, classes).

    The matrix has one row per true class and one column per predicted class.
    """
    confusion = torch.zeros(len(data.classes), len(data.classes), dtype=torch.long)
    places = data.labels.cpu(), predictions.cpu()
    confusion.index_put_(places, torch.tensor(1), accumulate=True)
    return (confusion.trace() / confusion.sum()).item(), confusion


def evaluate(model, data, batch_size=500, flip=False):
    """Measure accuracy in 0..1 and the confusion matrix, as `confusion_matrix` returns them."""
    return confusion_matrix(predict(model, data, batch_size, flip), data)


def evaluation_record(model, data):
    """Evaluate a model in plain values for a record: accuracies, confusion, first mistakes.

    The mistaken images are in the record themselves: `unpack_images` in minimaxvit.datasets.
    """
    plain = _logits(model, data.images)
    both = plain + _logits(model, data.images.flip(3))
    predictions = plain.argmax(1)
    accuracy, confusion = confusion_matrix(predictions, data)
    with_flip, _ = confusion_matrix(both.argmax(1), data)
    wrong = (predictions != data.labels).nonzero().flatten()[:MISTAKES]
    numbers = {"images": wrong, "labels": data.labels[wrong], "predictions": predictions[wrong]}
    mistakes = {name: found.tolist() for name, found in numbers.items()}
    return {
        "result": {"accuracy": accuracy, "accuracy_with_flip": with_flip},
        "confusion": confusion.tolist(),
        "mistakes": mistakes | {"pixels": pack_images(data.images[wrong])},
    }
