"""Scales are lines of their own."""

from minimaxvit.seeing import draw_scales


def test_scales_are_one_line_each_described_at_both_ends():
    largest = {"no scale": [0.1, 0.9], "root": [0.12, 0.13], "width": [0.11, 0.021]}
    figure, alt = draw_scales((2, 512), largest, keys=49)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert [list(lines[name].get_ydata()) for name in largest] == list(largest.values())
    assert len({lines[name].get_linestyle() for name in largest}) == 3  # distinct without color
    assert "of 49 weights" in alt and "no scale 0.10 at dimension 2, 0.90 at 512" in alt
    assert "width 0.11 at dimension 2, 0.02 at 512" in alt


def test_the_title_says_which_scale_is_steadiest_whatever_its_weights():
    steady, falling = {"steady": [0.5, 0.5, 0.5]}, {"falling": [0.3, 0.2, 0.1]}
    hump = {"hump": [0.1, 0.9, 0.1]}  # its ends agree, and it is not steady
    for largest in (steady | falling | hump, hump | falling | steady):
        figure, alt = draw_scales((2, 8, 32), largest, keys=4)
        title = "With scores steady, the largest weight changes least as d grows"
        assert figure.get_suptitle() == title
        assert alt.startswith(figure.get_suptitle())
