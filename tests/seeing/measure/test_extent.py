"""Fields whose extent is known, whatever their scale."""

import pytest
import torch

from minimaxvit.seeing import extent, middle


def test_a_uniform_field_has_fractions_by_area():
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
    found = extent(field, (8, 8), fractions=(0.5, 1.0))
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
