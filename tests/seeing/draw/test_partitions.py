"""Partitions are drawn as they are, on the image."""

import numpy as np
from groups import PAIR

from minimaxvit.seeing import draw_partitions, group_map, photograph


def titles(figure):
    return [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]


def test_partitions_are_drawn_with_titles_group_numbers_and_alt_text():
    figure, alt = draw_partitions(photograph(), side=12, window=4)
    assert all(titles(figure)) and len(figure.axes) == 2
    for axes, partition in zip(figure.axes, PAIR, strict=True):
        groups = group_map(partition, 12, 12, 4)
        assert {text.get_position(): int(text.get_text()) for text in axes.texts} == {
            (column, row): group for (row, column), group in np.ndenumerate(groups)
        }
        assert len(axes.patches) == (groups == 4).sum() == 16
        rows = ", ".join(map(str, np.unique(np.nonzero(groups == 4)[0])))
        assert f"rows {rows} and columns {rows}" in alt
    assert "12 x 12" in alt and "9 groups of 16" in alt


def test_only_the_framed_group_keeps_its_colors():
    picture = photograph()
    figure, _ = draw_partitions(picture, side=12, window=4)
    drawn = np.asarray(figure.axes[0].images[0].get_array())
    inside = slice(160, 320)
    np.testing.assert_array_equal(drawn[inside, inside], picture[inside, inside])
    assert drawn[:160].min() >= 191
    assert (drawn[:160, :, 0] == drawn[:160, :, 2]).all()
