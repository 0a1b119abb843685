"""Fields are drawn with the squares that the alt text names."""

import torch

from minimaxvit.seeing import draw_fields


def test_fields_are_drawn_with_the_squares_of_the_alt_text():
    field = torch.zeros(16, 16, dtype=torch.float64)
    field[6:10, 6:10] = 1
    figure, alt = draw_fields([("one", field, (7.5, 7.5)), ("even", 0 * field + 1, (8, 8))], "Far")
    one, even = figure.axes
    assert one.get_title() == "one\n50% within 4 x 4 pixels"
    assert [patch.get_width() for patch in one.patches] == [4, 4]
    assert [patch.get_xy() for patch in one.patches] == [(5.5, 5.5)] * 2
    assert torch.equal(torch.tensor(one.images[0].get_array()), field)
    assert alt.startswith(
        "Far. one: half of it within 4 x 4 pixels, 99% within 4 x 4; the smallest set with half "
        "of it has 8 pixels; it is worth 16 of 256 pixels. even: half of it within 13 x 13 pixels"
    )
    assert one.images[0].get_clim() == even.images[0].get_clim() == (0, 1)
    assert one.images[0].norm(0.25) == 0.5  # the square root
    assert even.get_xlim() == (-0.5, 15.5)
    figure, _ = draw_fields([("aside", field, (2.5, 9.5))], "Far")
    (cross,) = figure.axes[0].lines
    assert cross.get_xydata().tolist() == [[9.5, 2.5]]  # x is the column


def test_sides_are_numbered_in_pixels():
    field = torch.ones(32, 32, dtype=torch.float64)
    figure, _ = draw_fields([("even", field, (15.5, 15.5))], "Far")
    (axes,) = figure.axes
    assert [tick for tick in axes.get_xticks() if 0 <= tick < 32] == [0, 8, 16, 24]
    assert [tick for tick in axes.get_yticks() if 0 <= tick < 32] == [0, 8, 16, 24]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("column (pixels)", "row (pixels)")
    title, caption = figure.get_suptitle().splitlines()
    assert title == "Far" and len(caption) <= 66  # else it needs a line more
