"""Attention weights lie over the image where the tokens are, and are those of the alt text."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from minimaxvit import CONFIGS, MaxViT
from minimaxvit.seeing import draw_attended, photograph, record_attention

QUERY = 5, 2


@pytest.fixture
def rows():
    torch.manual_seed(0)
    # Six heads of 32 channels: more than fit beside the picture.
    model = MaxViT(replace(CONFIGS["compact"], dims=(32, 192, 32))).double().eval()
    with record_attention(model) as maps, torch.no_grad():
        model(torch.randn(1, 3, 32, 32, dtype=torch.float64))
    attention = maps["2.1 BlockAttention"]
    return attention.row(QUERY, (30 * attention.scores).softmax(-1))[0]


def test_each_head_lies_over_the_image_on_one_scale(rows):
    figure, alt = draw_attended(photograph(), rows, QUERY, "Six heads")
    _, *panels = figure.axes
    assert len(panels) == 6 and figure.get_suptitle() == "Six heads"
    group = np.zeros((8, 8), dtype=bool)
    group[4:, :4] = True
    for head, (axes, weights) in enumerate(zip(panels, rows.numpy(), strict=True), start=1):
        image, white, yellow = (layer.get_array() for layer in axes.images)
        np.testing.assert_array_equal(image, photograph())
        assert len(set(white[group][:, 3])) == 1 and len(set(white[~group][:, 3])) == 1
        assert white[group][0, 3] < white[~group][0, 3]
        np.testing.assert_allclose(yellow[..., 3], 0.9 * weights / rows.max().item())
        assert yellow[0, 0, 2] < yellow[0, 0, 0]
        assert {tuple(layer.get_extent()) for layer in axes.images} == {(-0.5, 7.5, 7.5, -0.5)}
        row, column = np.unravel_index(weights.argmax(), weights.shape)
        said = f"{weights.max():.0%} at row {row}, column {column}"
        assert axes.get_title() == f"head {head}: largest weight\n{said}"
        assert f"head {head}: largest weight {said}" in alt
        assert axes.patches[0].get_xy() == (1.5, 4.5)  # the query's frame
    start = "Six heads. From row 5, column 2 of 8 x 8 tokens, in a group of 16: head 1"
    assert alt.startswith(start)


def test_weights_are_written_in_percent_in_the_tokens_of_the_group(rows):
    figure, _ = draw_attended(photograph(), rows, QUERY, "Six heads")
    first, *panels = figure.axes
    assert not first.texts
    assert {patch.get_xy() for patch in first.patches} == {
        (column - 0.5, row - 0.5) for row in range(4, 8) for column in range(4)
    }
    for axes, weights in zip(panels, rows, strict=True):
        written = {text.get_position(): text.get_text() for text in axes.texts}
        assert written == {
            (column, row): f"{100 * weights[row, column]:.0f}"
            for row in range(4, 8)
            for column in range(4)
        }


def test_a_weight_that_is_zero_in_one_head_is_still_in_the_group():
    rows = torch.zeros(2, 2, 2)
    rows[0, 0], rows[1, 0] = torch.tensor([1.0, 0]), torch.tensor([0.5, 0.5])
    figure, alt = draw_attended(photograph(), rows, (0, 0), "Two heads")
    assert "in a group of 2" in alt
    assert [text.get_text() for text in figure.axes[1].texts] == ["100", "0"]


def test_rows_and_columns_that_titles_name_are_numbered(rows):
    figure, _ = draw_attended(photograph(), rows, QUERY, "Six heads")
    for axes in figure.axes:
        for axis, name in ((axes.xaxis, "column"), (axes.yaxis, "row")):
            assert axis.label.get_text() == name
            assert [tick for tick in axis.get_ticklocs() if 0 <= tick < 8] == list(range(8))


def test_on_a_large_map_no_number_is_written():
    figure, _ = draw_attended(photograph(), torch.rand(1, 56, 56), (0, 0), "Large")
    assert not figure.axes[1].texts
