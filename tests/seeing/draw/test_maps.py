"""Maps show their numbers."""

import numpy as np

from minimaxvit.seeing import draw_maps


def test_maps_show_their_numbers_on_one_scale():
    edge = np.ones((3, 3))
    edge[0, 0] = 0.25
    figure, alt = draw_maps({"one": edge, "two": 2 * np.ones((3, 3))}, "Two maps")
    one, two = figure.axes
    assert [text.get_text() for text in one.texts] == ["0.25"] + 8 * ["1.00"]
    assert one.images[0].get_clim() == two.images[0].get_clim()
    assert "one: 1.00 in the middle, 0.25 in the corner, 1.00 at most, 1 of 9 differ" in alt
    assert "two: 2.00 in the middle, 2.00 in the corner, 2.00 at most, 0 of 9 differ" in alt


def test_two_maps_stand_in_a_row():
    figure, _ = draw_maps({name: np.ones((2, 2)) for name in "abc"}, "Three maps")
    corners = [axes.get_subplotspec() for axes in figure.axes]
    places = [(spec.rowspan.start, spec.colspan.start) for spec in corners]
    assert places == [(0, 0), (0, 1), (1, 0)]
