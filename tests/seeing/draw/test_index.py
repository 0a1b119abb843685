"""The index is drawn as its two digits, and the digits are drawn with every number."""

import numpy as np
import pytest
import torch

from minimaxvit import relative_position_index
from minimaxvit.seeing import draw_index


def digits(window):
    """The offsets of every pair, counted from 0, taken from the places of the tokens alone."""
    tokens = [divmod(token, window) for token in range(window * window)]
    offsets = [[(k[0] - q[0], k[1] - q[1]) for k in tokens] for q in tokens]
    return (torch.tensor(offsets) + window - 1).unbind(2)


@pytest.mark.parametrize("window", [2, 3])
def test_the_panels_add_up_to_the_index(window):
    figure, _ = draw_index(*digits(window))
    down, right, index = (axes.images[0].get_array().data for axes in figure.axes)
    np.testing.assert_array_equal(down, (2 * window - 1) * digits(window)[0].numpy())
    np.testing.assert_array_equal(right, digits(window)[1].numpy())
    np.testing.assert_array_equal(down + right, index)
    np.testing.assert_array_equal(index, relative_position_index(window).numpy())


def test_every_cell_holds_its_number_and_the_alternative_text_the_sums():
    figure, alt = draw_index(*digits(2))
    written = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert written[0][:4] == ["1×3", "1×3", "2×3", "2×3"]  # query 0: keys in its row, and below
    assert written[1][:4] == ["1", "2", "1", "2"]
    assert written[2] == [str(number) for number in relative_position_index(2).flatten().tolist()]
    places = [text.get_position() for text in figure.axes[0].texts[:5]]
    assert places == [(0, 0), (1, 0), (2, 0), (3, 0), (0, 1)]
    assert [axes.get_title() for axes in figure.axes] == [
        "down digit × 3",
        "+  right digit",
        "=  index",
    ]
    assert alt.startswith("An index has two digits: down counts 3s, right counts 1s. query 0: ")
    assert "query 3: 0×3+0=0, 0×3+1=1, 1×3+0=3, 1×3+1=4." in alt


def test_all_panels_share_one_scale():
    figure, _ = draw_index(*digits(2))
    assert {axes.images[0].get_clim() for axes in figure.axes} == {(0, 8)}
