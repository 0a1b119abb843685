"""The photograph is there and square."""

import numpy as np

from minimaxvit.seeing import photograph


def test_the_photograph_is_square():
    picture = photograph()
    assert picture.shape == (480, 480, 3)
    assert picture.dtype == np.uint8
