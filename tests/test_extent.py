"""Fields whose extent is known, whatever their scale; and their drawing."""

import pytest
import torch

from minimaxvit.seeing import draw_fields, extent, middle


def test_an_even_field_has_shares_by_area():
    found = extent(torch.ones(20, 20), (9.5, 9.5))
    assert found.pixels == (80, 120, 200, 396)
    assert found.sides == (10, 12, 16, 20)  # the even side whose square holds as much
    assert found.participation == pytest.approx(400)


def test_a_single_pixel_holds_everything():
    field = torch.zeros(9, 9)
    field[4, 6] = 3
    found = extent(field, (4, 4))
    assert found.pixels == (1, 1, 1, 1) and found.participation == pytest.approx(1)
    assert found.sides == (5, 5, 5, 5)


def test_a_lattice_needs_a_wide_square_and_few_pixels():
    field = torch.zeros(16, 16)
    field[::4, ::4] = 1
    found = extent(field, (8, 8), shares=(0.5, 1.0))
    assert found.pixels == (8, 16) and found.sides == (9, 17)
    assert found.participation == pytest.approx(16)


def test_the_scale_of_a_gradient_does_not_matter():
    field = torch.rand(12, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found, scaled = extent(field, (3, 3)), extent(1e6 * field, (3, 3))
    assert (found.sides, found.pixels) == (scaled.sides, scaled.pixels)
    assert found.participation == pytest.approx(scaled.participation)


@pytest.mark.parametrize("field", [torch.zeros(4, 4), -torch.eye(4) + 1.5 * torch.eye(4).flip(0)])
def test_a_field_without_mass_is_refused(field):
    with pytest.raises(ValueError, match="some mass, and none below zero"):
        extent(field, (2, 2))


def test_the_middle_is_that_of_a_tokens_own_pixels():
    assert middle((0, 3), 1) == (0, 3)
    assert middle((0, 3), 4) == (1.5, 13.5)


def test_fields_are_drawn_with_the_squares_that_are_told():
    field = torch.zeros(16, 16, dtype=torch.float64)
    field[6:10, 6:10] = 1
    figure, sentence = draw_fields(
        [("one", field, (7.5, 7.5)), ("even", 0 * field + 1, (8, 8))], "Far"
    )
    one, even = figure.axes
    assert one.get_title() == "one\n50 % within 4 x 4 pixels"
    assert [patch.get_width() for patch in one.patches] == [4, 4]
    assert [patch.get_xy() for patch in one.patches] == [(5.5, 5.5)] * 2
    assert torch.equal(torch.tensor(one.images[0].get_array()), field)
    assert sentence.startswith(
        "Far. one: half of it within 4 x 4 pixels, 99 % within 4 x 4; the smallest set with half "
        "of it has 8 pixels; it is worth 16 of 256 pixels. even: half of it within 13 x 13 pixels"
    )
    assert one.images[0].get_clim() == even.images[0].get_clim() == (0, 1)
    assert even.get_xlim() == (-0.5, 15.5)
    figure, _ = draw_fields([("aside", field, (2.5, 9.5))], "Far")
    (cross,) = figure.axes[0].lines
    assert cross.get_xydata().tolist() == [[9.5, 2.5]]  # x is the column
