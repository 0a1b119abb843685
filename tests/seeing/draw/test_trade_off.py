"""Accuracy against time: every network at its place, every name readable."""

from itertools import combinations

import numpy as np
import pytest

from minimaxvit.seeing import draw_trade_off

TIMES = {"slow": 500.0, "fast": 50.0, "once": 200.0}
ACCURACIES = {"slow": [0.8, 0.7], "fast": [0.5, 0.6], "once": [0.65]}


def drawn(times, accuracies):
    figure, alt = draw_trade_off(times, accuracies, "Three")
    (axes,) = figure.axes
    dots = [line.get_xydata()[0] for line in axes.get_lines() if line.get_marker() == "o"]
    return figure, axes, dots, alt


def names_of(axes):
    return [text for text in axes.texts if text.get_text()]


def test_a_network_is_where_its_time_and_its_mean_are_with_a_bar_for_its_seeds():
    _, axes, dots, alt = drawn(TIMES, ACCURACIES)
    np.testing.assert_allclose(dots, [(500, 75), (50, 55), (200, 65)])
    bars = [line.get_xydata() for line in axes.get_lines() if line.get_marker() != "o"]
    np.testing.assert_allclose(
        bars, [[(500, 70), (500, 80)], [(50, 50), (50, 60)], [(200, 65), (200, 65)]]
    )
    assert axes.get_xscale() == "log" and "log scale" in axes.get_xlabel()
    assert alt == (
        "Three. Time of a training step, and accuracy in percent: slow: 500 ms, 75.0 ± 7.1; "
        "fast: 50 ms, 55.0 ± 7.1; once: 200 ms, 65.0 (one seed)."
    )


@pytest.mark.parametrize("count", [2, 12, 24])
def test_names_of_networks_close_together_cover_neither_each_other_nor_a_circle(count):
    times = {f"network {i}": 200 * 1.04**i for i in range(count)} | {"far": 3000}
    accuracies = {f"network {i}": [0.7 + 0.005 * (i % 5)] for i in range(count)} | {"far": [0.4]}
    figure, axes, dots, _ = drawn(times, accuracies)
    names = names_of(axes)
    assert [name.get_text() for name in names] == list(times)
    boxes = [name.get_window_extent() for name in names]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    circles = axes.transData.transform(dots)
    assert not any(box.contains(*circle) for box in boxes for circle in circles)
    assert all(box.x0 >= axes.bbox.x0 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_a_name_that_stands_away_is_led_to_by_a_line():
    times = dict.fromkeys("abcdefgh", 100.0)
    _, axes, dots, _ = drawn(times, dict.fromkeys(times, [0.5]))
    led = [text.xyann for text in axes.texts if not text.get_text()]
    away = [name.xyann for name in names_of(axes) if name.xyann[0] and name.xyann[1]]
    assert led == away and len(away) >= 3 and len(names_of(axes)) == len(dots) == 8
