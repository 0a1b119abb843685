"""Each network is a dot where its number is, and in the alt text."""

import numpy as np

from minimaxvit.seeing import draw_field_sizes

LAYERS = ["first", "second", "third"]
UNTRAINED = np.array([[10, 20, 30], [12, 21, 29]])
TRAINED = np.array([11, 40, 28])


def test_every_network_is_drawn_on_the_line_of_its_layer():
    figure, _ = draw_field_sizes(LAYERS, {"half": (UNTRAINED, TRAINED)}, "Sizes")
    (axes,) = figure.axes
    *circles, triangles = axes.lines
    for line, sizes in zip(circles, UNTRAINED, strict=True):
        assert line.get_marker() == "o" and line.get_label() == "untrained"
        assert line.get_xydata().tolist() == [[size, row] for row, size in enumerate(sizes)]
    assert triangles.get_marker() == ">" and triangles.get_label() == "trained"
    assert triangles.get_xdata().tolist() == TRAINED.tolist()
    assert [label.get_text() for label in axes.get_yticklabels()] == LAYERS
    low, high = axes.get_ylim()
    assert low > high  # the first layer stands on top
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["untrained", "trained"]


def test_panels_and_their_ranges_are_told():
    panels = {"half": (UNTRAINED, TRAINED), "most": (5 * UNTRAINED, 5 * TRAINED)}
    figure, alt = draw_field_sizes(LAYERS, panels, "Sizes")
    assert [axes.get_title() for axes in figure.axes] == ["half", "most"]
    assert alt == (
        "Sizes. half: first: 10 to 12 untrained, 11 trained; second: 20 to 21 untrained, 40 "
        "trained; third: 29 to 30 untrained, 28 trained. most: first: 50 to 60 untrained, 55 "
        "trained; second: 100 to 105 untrained, 200 trained; third: 145 to 150 untrained, 140 "
        "trained."
    )
