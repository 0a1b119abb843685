"""Shuffled patches are where the order says."""

import numpy as np

from minimaxvit.seeing import draw_shuffled, shuffle_patches


def test_shuffled_patches_stand_where_the_order_says():
    picture = np.arange(6 * 6 * 3).reshape(6, 6, 3)
    order = [8, 0, 3, 1, 4, 2, 6, 7, 5]
    laid = shuffle_patches(picture, order)
    for place, patch in enumerate(order):
        (row, column), (r, c) = divmod(place, 3), divmod(patch, 3)
        np.testing.assert_array_equal(
            laid[2 * row : 2 * row + 2, 2 * column : 2 * column + 2],
            picture[2 * r : 2 * r + 2, 2 * c : 2 * c + 2],
        )
    np.testing.assert_array_equal(shuffle_patches(picture, range(9)), picture)


def test_a_shuffled_image_is_drawn_with_the_numbers_of_its_patches():
    order = [2, 1, 3, 0]
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    figure, alt = draw_shuffled(picture, order)
    numbers = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert numbers == [["0", "1", "2", "3"], ["2", "1", "3", "0"]]
    assert figure.get_suptitle() == "The same 4 patches, 3 of them in another place"
    assert "4 numbered patches" in alt and alt.startswith(figure.get_suptitle())
    assert "first row now holds patches 2, 1" in alt
