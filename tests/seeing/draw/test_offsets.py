"""Tables are drawn with every number."""

import torch

from minimaxvit.seeing import draw_offsets


def test_offsets_are_drawn_with_every_number_the_frame_and_its_place():
    table = torch.tensor([[0.0, 1, 2], [3, 4, 5], [6, 7, -8.25]])
    panels = [("Table", table, -1, (0, 1)), ("Window", table[:2, :2], 0, (1, 1))]
    figure, alt = draw_offsets("Two panels", panels)
    left, right = figure.axes
    assert [text.get_text() for text in left.texts] == [*"01234567", "-8.2"]
    assert left.images[0].get_clim() == right.images[0].get_clim() == (-8.25, 7)
    assert left.get_xlabel() == "offset right" and right.get_xlabel() == "column"
    assert [tick.get_text() for tick in left.get_yticklabels()] == ["-1", "0", "1"]
    assert left.patches[0].get_xy() == (1.5, 0.5)  # offset 0, 1: the middle row, the last column
    assert alt.startswith("Two panels. Table: 5 in the frame at 0, 1; smallest -8.2, ")
    assert "largest 7 at 1, 0. Window: 4 in the frame at 1, 1" in alt


def test_offsets_may_have_a_scale_for_each_panel():
    panels = [("One", torch.eye(2), 0, (0, 0)), ("Two", 5 * torch.eye(2), 0, (0, 0))]
    figure, _ = draw_offsets("Two panels", panels, shared=False)
    assert [axes.images[0].get_clim() for axes in figure.axes] == [(0, 1), (0, 5)]


def test_three_panels_stand_in_two_rows_so_that_their_numbers_stay_large():
    panels = [(name, torch.eye(2), 0, (0, 0)) for name in ("One", "Two", "Three")]
    figure, _ = draw_offsets("Three panels", panels)
    columns = [axes.get_subplotspec().colspan.start for axes in figure.axes]
    assert columns == [0, 1, 0]
    smallest = min(text.get_fontsize() for axes in figure.axes for text in axes.texts)
    assert 400 * smallest / (72 * figure.get_figwidth()) > 7  # in pixels, on a page 400 wide
