"""The strip draws what was traced, each map at its own size, with numbered sides."""

import numpy as np

from minimaxvit import maxvit
from minimaxvit.seeing import draw_strip, trace


def traced():
    return trace(maxvit("compact"), 32, 32, "2.1 GridAttention", (3, 4))


def test_every_layer_is_drawn_at_its_size_with_what_is_reached():
    counts = traced()
    figure, alt = draw_strip(counts, "Down to the pixels")
    assert len(figure.axes) == len(counts) == 8
    for axes, (name, paths) in zip(figure.axes, counts.items(), strict=True):
        drawn = axes.images[0].get_array().filled(0)
        np.testing.assert_array_equal(drawn, paths > 0)
        said = f"{(paths > 0).sum():,} of {paths.numel():,}"
        assert axes.get_title() == f"{name}\n{said}" and f"{name}: {said}" in alt
        assert axes.patch.get_hatch()
    assert figure.get_suptitle() == "Down to the pixels"
    assert alt.startswith("Down to the pixels. Reached: pixels: 1,024 of 1,024; stem: ")


def test_ticks_are_at_the_same_places_of_the_image_and_name_their_unit():
    figure, _ = draw_strip(traced(), "Down to the pixels")
    for axes in figure.axes:
        h, w = axes.images[0].get_array().shape
        assert (axes.get_yticks() / h).tolist() == [0, 0.25, 0.5, 0.75]
        assert (axes.get_xticks() / w).tolist() == [0, 0.25, 0.5, 0.75]
    units = [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes]
    assert units[0] == ("column (pixels)", "row (pixels)")
    assert set(units[1:]) == {("column (tokens)", "row (tokens)")}


def test_only_a_token_that_is_alone_is_circled():
    figure, _ = draw_strip(traced(), "Down to the pixels")
    circled = [[line.get_xydata().tolist() for line in axes.lines] for axes in figure.axes]
    assert circled == 7 * [[]] + [2 * [[[4.0, 3.0]]]]  # x is the column


def test_a_long_title_is_wrapped_in_the_figure_alone():
    title = "A title " + 20 * "of many words "
    figure, alt = draw_strip(traced(), title)
    assert max(map(len, figure.get_suptitle().splitlines())) < 70
    assert alt.startswith(f"{title}.")
