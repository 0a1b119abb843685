"""What a network can answer, in words."""

import pytest

from minimaxvit.seeing.explorer import name_answers


@pytest.mark.parametrize(
    "number, source, words",
    [
        (10, "CIFAR-10", "one of ten CIFAR-10 classes"),
        (10, None, "one of ten classes"),
        (12, None, "one of twelve classes"),
        (13, None, "one of 13 classes"),
        (1000, "ImageNet", "one of 1,000 ImageNet classes"),
    ],
)
def test_answers_are_counted_and_named(number, source, words):
    assert name_answers(["class"] * number, source) == words
