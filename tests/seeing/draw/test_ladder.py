"""A ladder keeps the order of its steps, and shows every seed."""

import pytest

from minimaxvit.seeing import draw_ladder


def row(name, seed, accuracy):
    return {"name": name, "seed": seed, "result": {"accuracy": accuracy}}


ROWS = [row("old", 0, 0.5), row("new", 1, 0.62), row("new", 0, 0.6), row("newest", 0, 0.55)]
NOTES = {"old": "3 M", "new": "2 M", "newest": "1 M"}


def test_bars_stand_in_the_order_of_the_notes_with_a_circle_per_seed():
    figure, alt = draw_ladder(ROWS, NOTES, "A title")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == list(NOTES)
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([50, 61, 55])
    assert [bar.get_x() for bar in axes.patches] == [0, 0, 0]
    assert [sorted(line.get_xdata()) for line in axes.lines] == [
        [50],
        [60, 62],
        pytest.approx([55]),
    ]
    low, high = axes.get_ylim()
    assert low > high  # the first on top
    assert alt == (
        "A title. Accuracy in percent: old (3 M): 50.0, from 50.0; new (2 M): 61.0, from 60.0 and "
        "62.0; newest (1 M): 55.0, from 55.0."
    )


def test_notes_and_means_stand_beside_the_bars():
    figure, _ = draw_ladder(ROWS, NOTES, "A title")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["3 M", "50.0", "2 M", "61.0", "1 M", "55.0"]
    low, high = figure.axes[0].get_xlim()
    assert max(text.get_position()[0] for text in figure.axes[0].texts) < high and low == 0
