"""Tables of attention show their own numbers, and the marked token is the same in all."""

import numpy as np
import pytest
import torch

from minimaxvit.seeing import draw_qkv, photograph

MARKED = 5


@pytest.fixture
def tables():
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 9, 2, generator=generator).unbind()
    weights = (query @ key.T / 2**0.5).softmax(1)
    return {"query": query, "key": key, "value": value}, weights


def written(axes, shape):
    texts = {text.get_position()[::-1]: text.get_text() for text in axes.texts}
    return [[texts[row, column] for column in range(shape[1])] for row in range(shape[0])]


def test_every_table_shows_its_numbers(tables):
    figure, alt = draw_qkv(photograph(), *tables, MARKED, "One head", ("warm", "light"))
    tokens, *three, square, on_map = figure.axes
    assert written(tokens, (3, 3)) == [["0", "1", "2"], ["3", "4", "5"], ["6", "7", "8"]]
    for axes, (name, numbers) in zip(three, tables[0].items(), strict=True):
        assert [label.get_text() for label in axes.get_xticklabels()] == ["warm", "light"]
        np.testing.assert_array_equal(axes.images[0].get_array(), numbers)
        assert axes.get_title() == name
        assert written(axes, (9, 2)) == [[f"{x:.1f}" for x in row] for row in numbers.tolist()]
        assert f"{name} ({numbers[MARKED, 0]:.1f}, {numbers[MARKED, 1]:.1f})" in alt
    assert len({axes.images[0].get_clim() for axes in three}) == 1
    weights = tables[1]
    np.testing.assert_array_equal(square.images[0].get_array(), weights)
    assert written(square, (9, 9)) == [[f"{100 * x:.0f}" for x in row] for row in weights.tolist()]
    assert (square.get_ylabel(), square.get_xlabel()) == ("query", "key")
    np.testing.assert_array_equal(on_map.images[0].get_array(), weights[MARKED].reshape(3, 3))
    assert square.images[0].get_clim() == on_map.images[0].get_clim()
    said = ", ".join(f"{100 * x:.0f}" for x in weights[MARKED].tolist())
    assert alt.startswith("One head. Token 5 of 9: query") and f"in percent: {said}." in alt


def test_the_marked_token_is_framed_in_every_table(tables):
    tokens, *rest, on_map = draw_qkv(photograph(), *tables, MARKED, "One head", "ab")[0].axes
    for axes in tokens, on_map:  # row 1, column 2 of the map
        assert (1.5, 0.5, 1, 1) in [patch.get_bbox().bounds for patch in axes.patches]
    for axes, columns in zip(rest, (2, 2, 2, 9), strict=True):
        (mark,) = axes.patches
        assert mark.get_bbox().bounds == (-0.5, 4.5, columns, 1)


def test_a_zero_has_no_sign():
    tables = {name: torch.zeros(4, 1) for name in ("query", "key", "value")}
    tables["query"] -= 0.04
    figure, alt = draw_qkv(photograph(), tables, torch.full((4, 4), 0.25), 0, "Zeros", "x")
    assert written(figure.axes[1], (4, 1)) == [["0.0"]] * 4
    assert "query (0.0), key (0.0)" in alt and "25, 25, 25, 25" in alt
