"""What a token reads lies over the image where it is, and is counted in the alt text."""

import numpy as np
import pytest

from minimaxvit.seeing import draw_read, photograph

EVEN = np.full((4, 4), 1 / 16)
NARROW = np.zeros((4, 4))
NARROW[1, 2], NARROW[3, 0] = 0.75, 0.25


def test_each_panel_lies_over_its_image_on_one_scale_by_square_root():
    image = photograph()
    panels = [("even", image, EVEN), ("narrow", image[:240], NARROW)]
    figure, alt = draw_read(panels, "Two tokens")
    assert len(figure.axes) == 2 and figure.get_suptitle().startswith("Two tokens\n(bluer: more")
    for axes, (_, drawn, weights) in zip(figure.axes, panels, strict=True):
        gray, blue = (layer.get_array() for layer in axes.images)
        assert gray.shape == drawn.shape[:2]
        np.testing.assert_allclose(gray, 0.65 + 0.35 * drawn.mean(2) / 255)
        assert axes.images[0].get_clim() == (0, 1)  # or each image would have its own white
        np.testing.assert_allclose(blue[..., 3], 0.85 * (weights / 0.75) ** 0.5)
        assert blue[0, 0, 2] > blue[0, 0, 0]
        assert {tuple(layer.get_extent()) for layer in axes.images} == {(-0.5, 3.5, 3.5, -0.5)}


def test_the_alt_text_counts_places_and_names_the_largest():
    panels = [("even", photograph(), EVEN), ("narrow", photograph(), NARROW)]
    figure, alt = draw_read(panels, "Two tokens")
    assert alt == (
        "Two tokens. even: half of it on 8 of 16 places, most at row 0, column 0; narrow: half of "
        "it on 1 of 16 places, most at row 1, column 2."
    )
    assert figure.axes[1].get_title() == "narrow\nhalf of it on 1 of 16 places"


@pytest.mark.parametrize("weights, count", [([0.5, 0.25, 0.25], 1), ([0.4, 0.35, 0.25], 2)])
def test_half_is_held_by_the_fewest_places(weights, count):
    _, alt = draw_read([("one", photograph(), np.array([weights]))], "One")
    assert f"half of it on {count} of 3 places" in alt


def test_rows_and_columns_that_the_alt_text_names_are_numbered():
    figure, _ = draw_read([("one", photograph(), EVEN)], "One")
    (axes,) = figure.axes
    for axis, name in ((axes.xaxis, "column"), (axes.yaxis, "row")):
        assert axis.label.get_text() == name
        assert [tick for tick in axis.get_ticklocs() if 0 <= tick < 4] == [0, 1, 2, 3]
