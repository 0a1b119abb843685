"""What a head attends to is drawn where it is, with the weight that is in the alt text."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from minimaxvit import CONFIGS, MaxViT
from minimaxvit.seeing import draw_attended, photograph, record_attention


@pytest.fixture
def rows():
    torch.manual_seed(0)
    # Six heads of 32 channels: more than fit beside the picture.
    model = MaxViT(replace(CONFIGS["compact"], dims=(32, 192, 32))).eval()
    with record_attention(model) as maps, torch.no_grad():
        model(torch.randn(1, 3, 32, 32))
    attention = maps["2.1 GridAttention"]
    return attention.row((3, 4), attention.weights())[0]


def test_each_head_has_a_panel_on_one_scale(rows):
    figure, alt = draw_attended(photograph(), rows, (3, 4), "Six heads")
    _, *panels = figure.axes
    assert len(panels) == 6 and figure.get_suptitle() == "Six heads"
    for number, (axes, weights) in enumerate(zip(panels, rows.numpy(), strict=True), start=1):
        image = axes.images[0]
        np.testing.assert_array_equal(image.get_array().filled(0), weights)
        assert image.get_clim() == (0, rows.max())
        assert [text.get_text() for text in axes.texts] == [
            f"{100 * weight:.0f}" for weight in weights[weights > 0]
        ]
        row, column = np.unravel_index(weights.argmax(), weights.shape)
        said = f"{weights.max():.0%} at row {row}, column {column}"
        assert axes.get_title() == f"head {number}: most,\n{said}"
        assert f"head {number}: most, {said}" in alt
        assert axes.patches[0].get_xy() == (3.5, 2.5)  # the query's frame
    assert alt.startswith("Six heads. From row 3, column 4 of 8 x 8 tokens: head 1")


def test_rows_and_columns_that_titles_name_are_numbered(rows):
    figure, _ = draw_attended(photograph(), rows, (3, 4), "Six heads")
    for axes in figure.axes:
        for axis, name in ((axes.xaxis, "column"), (axes.yaxis, "row")):
            assert axis.label.get_text() == name
            assert [tick for tick in axis.get_ticklocs() if 0 <= tick < 8] == list(range(8))


def test_on_a_large_map_no_number_is_written():
    figure, _ = draw_attended(photograph(), torch.rand(1, 56, 56), (0, 0), "Large")
    assert not figure.axes[1].texts
