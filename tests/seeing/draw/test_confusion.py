"""The confusion matrix, and single predictions."""

import numpy as np

from minimaxvit.seeing import draw_confusion, draw_predictions


def test_a_confusion_matrix_names_the_worst_confusion_by_row_and_column():
    counts = [[8, 1, 1], [4, 6, 0], [0, 0, 10]]
    figure, alt = draw_confusion(counts, ("cat", "dog", "ship"))
    assert alt == (
        "The most frequent mistake: dog, predicted as cat (4 of 10). 24 of 30 are classified "
        "correctly; best ship (100.0%), worst dog (60.0%)."
    )
    written = {(*text.get_position(),): text.get_text() for text in figure.axes[0].texts}
    assert written[0, 1] == "4" and written[1, 0] == "1"  # (column, row)
    perfect = [[3, 0], [0, 3]]
    assert draw_confusion(perfect, ("a", "b"))[1].startswith("Every image is classified correctly")
    absent = [[2, 1], [0, 0]]
    assert "worst b (0.0%)" in draw_confusion(absent, ("a", "b"))[1]


def test_predictions_are_captions_of_their_images():
    images = np.arange(7 * 3 * 4 * 4, dtype=np.uint8).reshape(7, 3, 4, 4)
    figure, alt = draw_predictions(images, [0] * 7, [1] * 6 + [0], ("cat", "dog"), "Seven")
    assert alt == "Seven: " + 6 * "cat, not dog; " + "cat."
    assert len(figure.axes) == 7
    drawn = figure.axes[3].get_images()[0].get_array()
    np.testing.assert_array_equal(drawn, images[3].transpose(1, 2, 0))
