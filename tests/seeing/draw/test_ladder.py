"""A ladder keeps the order of its steps, and shows every seed."""

import pytest

from minimaxvit.seeing import draw_ladder


def row(name, seed, accuracy):
    return {"name": name, "seed": seed, "result": {"accuracy": accuracy}}


ROWS = [row("old", 0, 0.5), row("new", 1, 0.62), row("new", 0, 0.6), row("newest", 0, 0.55)]
NOTES = {"old": "3 M", "new": "2 M", "newest": "1 M"}


def test_bars_stand_in_the_order_of_the_notes_begin_at_0_and_hold_them():
    figure, alt = draw_ladder(ROWS, NOTES, "A title")
    whole, _ = figure.axes
    assert [label.get_text() for label in whole.get_yticklabels()] == list(NOTES)
    assert [bar.get_width() for bar in whole.patches] == pytest.approx([50, 61, 55])
    assert [bar.get_x() for bar in whole.patches] == [0, 0, 0] and whole.get_xlim()[0] == 0
    assert [text.get_text() for text in whole.texts] == list(NOTES.values())
    low, high = whole.get_ylim()
    assert low > high  # the first on top
    assert alt == (
        "A title. Accuracy in percent: old (3 M): 50.0, from 50.0; new (2 M): 61.0, from 60.0 and "
        "62.0; newest (1 M): 55.0, from 55.0."
    )


def test_beside_the_bars_every_seed_has_a_circle_around_the_mean():
    figure, _ = draw_ladder(ROWS, NOTES, "A title")
    _, enlarged = figure.axes
    drawn = [
        (line.get_marker(), *line.get_xdata(), set(line.get_ydata())) for line in enlarged.lines
    ]
    assert drawn == [
        ("o", 50, {0}),
        ("|", 50, {0}),
        ("o", 60, 62, {1}),
        ("|", 61, {1}),
        ("o", pytest.approx(55), {2}),
        ("|", pytest.approx(55), {2}),
    ]
    low, high = enlarged.get_xlim()
    assert 45 < low < 50 and 62 < high < 65
