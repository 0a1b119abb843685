"""Counting right and wrong: rows are true classes, a flip judges both sides, mistakes are real."""

import pytest
import torch

from minimaxvit.datasets import unpack_images
from minimaxvit.datasets.labeled_images import LabeledImages
from minimaxvit.datasets.shapes import SHAPE_CLASSES, draw_shapes
from minimaxvit.training.evaluation import MISTAKES, evaluate, evaluation_record, predict


def few_shapes(count):
    images, labels = map(torch.from_numpy, draw_shapes(count, seed=0))
    return LabeledImages(images, labels.long(), SHAPE_CLASSES, "shapes")


class AlwaysTwo(torch.nn.Module):
    def forward(self, images):
        return torch.eye(10)[2].expand(len(images), -1)


class LeftIsBright(torch.nn.Module):
    """Sure of class 1 for a bright left half, less sure of class 2 for a bright right one."""

    def forward(self, images):
        left, right = images.mean((1, 2)).tensor_split(2, dim=1)
        one, two = 3 * left.mean(1).relu(), 2 * right.mean(1).relu()
        return torch.stack([torch.zeros_like(one), one, two], 1)


def test_evaluation_counts_true_classes_in_rows():
    pictures = few_shapes(112)
    accuracy, confusion = evaluate(AlwaysTwo(), pictures, batch_size=7)
    counts = pictures.labels.bincount(minlength=10)
    assert torch.equal(confusion[:, 2], counts) and confusion.sum() == len(pictures)
    assert accuracy == pytest.approx(counts[2].item() / len(pictures))


def test_test_time_flip_adds_the_logits_of_both_sides():
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    images[0, ..., :2], images[1, ..., 2:] = 255, 255
    pictures = LabeledImages(images, torch.tensor([1, 1]), ("none", "left", "right"), "halves")
    assert predict(LeftIsBright(), pictures).tolist() == [1, 2]
    assert predict(LeftIsBright(), pictures, flip=True).tolist() == [1, 1]
    assert evaluate(LeftIsBright(), pictures, flip=True)[0] == 1.0
    assert evaluation_record(LeftIsBright(), pictures)["result"] == {
        "accuracy": 0.5,
        "accuracy_with_flip": 1.0,
    }


def test_what_a_record_says_is_consistent():
    pictures = few_shapes(112)
    evaluated = evaluation_record(AlwaysTwo(), pictures)
    accuracy, confusion = evaluate(AlwaysTwo(), pictures)
    assert evaluated["result"] == {"accuracy": accuracy, "accuracy_with_flip": accuracy}
    assert evaluated["confusion"] == confusion.tolist()
    expected = [k for k, label in enumerate(pictures.labels) if label != 2][:MISTAKES]
    mistakes = evaluated["mistakes"]
    assert mistakes["images"] == expected and mistakes["predictions"] == [2] * MISTAKES
    assert mistakes["labels"] == pictures.labels[expected].tolist()
    assert torch.equal(unpack_images(mistakes["pixels"], MISTAKES), pictures.images[expected])


def test_a_record_without_mistakes_packs_no_images():
    pictures = few_shapes(10)
    right = pictures[pictures.labels == 2]
    mistakes = evaluation_record(AlwaysTwo(), right)["mistakes"]
    assert mistakes == {"images": [], "labels": [], "predictions": [], "pixels": ""}
