"""Growth is one labeled curve per layer."""

from minimaxvit.seeing import draw_growth


def test_growth_is_one_labeled_line_per_layer_described_at_both_ends():
    curves = {"full": [1e9, 16e9], "windows": [1e9, 4e9], "close": [0.9e9, 3e9]}
    figure, alt = draw_growth([112, 224], curves, "A title")
    axes = figure.axes[0]
    assert [list(line.get_ydata()) for line in axes.lines] == list(curves.values())
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert all("log scale" in label for label in (axes.get_xlabel(), axes.get_ylabel()))
    assert [text.get_text() for text in axes.texts] == list(curves)
    lifts = [text.xyann[1] for text in axes.texts]
    assert lifts == [0, 5, -5], "labels of lines that end close together move apart"
    assert len({line.get_marker() + line.get_linestyle() for line in axes.lines}) == 3
    assert alt.startswith("A title. From 112 to 224 pixels, full: 1.000 to 16.0 billion")
    assert "windows: 1.000 to 4.0 billion, the last doubling multiplies by 4.0" in alt


def test_five_lines_are_distinct_without_color_and_a_long_title_is_broken():
    title = "a word " * 20
    figure, alt = draw_growth([112, 224], {name: [1e9, 2e9] for name in "abcde"}, title)
    lines = figure.axes[0].lines
    assert len({line.get_marker() + line.get_linestyle() for line in lines}) == 5
    assert max(map(len, figure.get_suptitle().splitlines())) <= 65
    assert title in alt
