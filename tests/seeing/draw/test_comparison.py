"""A comparison shows every seed, the best first."""

import numpy as np
import pytest

from minimaxvit.seeing import comparison_table, draw_comparison
from minimaxvit.seeing.draw.comparison import places, pooled_deviation


def rows_of(**accuracies):
    return [
        {"name": name, "seed": seed, "result": {"accuracy": accuracy}}
        for name, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]


def test_a_comparison_draws_every_seed_and_says_mean_and_deviation_best_first():
    rows = rows_of(worse=[0.5, 0.6, 0.7], better=[0.9, 0.8, 0.7], once=[0.1])
    figure, alt = draw_comparison(rows[::-1], "Two")
    assert alt == (
        "Two. Accuracy in percent: better: 80.0 ± 10.0; worse: 60.0 ± 10.0; once: 10.0 (one seed)."
    )
    dots = [line.get_xdata() for line in figure.axes[0].get_lines() if line.get_marker() == "o"]
    np.testing.assert_allclose(dots[0], [90, 80, 70])
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["better", "worse", "once"]


def test_the_marked_row_is_bold_and_in_a_band_of_one_pooled_deviation():
    rows = rows_of(recipe=[0.80, 0.82], other=[0.70, 0.74], once=[0.1])
    figure, alt = draw_comparison(rows, "Two", marked="recipe")
    deviation = 100 * ((0.01**2 * 2 + 0.02**2 * 2) / 2) ** 0.5  # a row of one seed tells nothing
    assert alt.endswith(
        f"The band around recipe is one pooled standard deviation, {deviation:.1f} points."
    )
    (band,) = figure.axes[0].patches
    assert band.get_x() == pytest.approx(81 - deviation)
    assert band.get_width() == pytest.approx(2 * deviation)
    weights = {label.get_text(): label.get_weight() for label in figure.axes[0].get_yticklabels()}
    assert weights == {"recipe": "bold", "other": "normal", "once": "normal"}


def test_no_band_is_drawn_where_no_row_has_two_seeds():
    assert pooled_deviation({"one": [0.5], "other": [0.6]}) is None
    figure, alt = draw_comparison(rows_of(one=[0.5], other=[0.6]), "Two", marked="one")
    assert not figure.axes[0].patches and "band" not in alt
    assert figure.axes[0].get_yticklabels()[1].get_weight() == "bold"


def test_networks_share_a_place_if_seeds_cannot_part_them():
    # Two runs each: means may differ by 2 * 0.01 * sqrt(1/2 + 1/2) = 0.02.
    accuracies = {"a": [0.92, 0.90], "b": [0.90, 0.884], "c": [0.882, 0.868], "d": [0.5, 0.5]}
    expected = {"a": "1 to 2", "b": "1 to 3", "c": "2 to 3", "d": "4"}
    assert places(accuracies, 0.01) == expected
    assert places(dict(list(accuracies.items())[::-1]), 0.01) == expected


def test_more_runs_part_what_fewer_cannot():
    # 2 * 0.01 * sqrt(1/n + 1/m): 0.028 for one run each, 0.025 for one and two, 0.014 for four.
    assert places({"a": [0.90], "b": [0.873]}, 0.01) == {"a": "1 to 2", "b": "1 to 2"}
    assert places({"a": [0.90], "b": 2 * [0.873]}, 0.01) == {"a": "1", "b": "2"}
    assert places({"a": 4 * [0.90], "b": 4 * [0.884]}, 0.01) == {"a": "1", "b": "2"}


def test_without_a_deviation_there_are_no_places():
    assert places({"one": [0.5], "other": [0.6]}, None) == {} == places({}, None)


def test_accuracies_far_apart_have_an_axis_of_percents_alone():
    rows = [
        {"name": name, "seed": 0, "result": {"accuracy": accuracy}}
        for name, accuracy in {"low": 0.1, "high": 0.94}.items()
    ]
    axes = draw_comparison(rows, "Far apart")[0].axes[0]
    assert axes.get_xlim()[0] == 0 and axes.get_xlim()[1] > 100  # where a label stands
    assert min(axes.get_xticks()) >= 0 and 80 < max(axes.get_xticks()) <= 100


def with_sizes(rows):
    sizes = {"slow": 1234, "fast": 1_000_000}
    return [{**row, "parameters": sizes.get(row["name"], 5)} for row in rows]


def test_a_table_names_the_best_first_and_leaves_out_the_others():
    rows = with_sizes(rows_of(slow=[0.5, 0.7], left_out=[0.99, 0.99], fast=[0.9]))
    by_time = {"seconds": 240, "steps": {"slow": 96, "fast": 1000, "not yet": 3}, "rows": rows}
    by_steps = {"rows": with_sizes(rows_of(slow=[0.6, 0.62], left_out=[0.1, 0.3]))}
    lines = comparison_table(("slow", "fast", "not yet"), by_time, by_steps).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["fast", "1,000,000", "0.24", "90.0", "(one", "seed)", "1", "–", "–"],
        ["slow", "1,234", "2.50", "60.0", "±", "14.1", "2", "61.0", "±", "1.4", "1"],
    ]
    for column in ("equal time", "place", "equal epochs"):
        start = lines[0].index(column)
        assert lines[1][start - 1] == lines[2][start - 1] == " " and lines[2][start] != " "


def test_a_table_has_places_by_the_deviation_of_all_rows():
    # Of these two alone, no seeds tell a deviation; those that are left out do.
    rows = with_sizes(rows_of(slow=[0.5], left_out=[0.89, 0.91], fast=[0.9]))
    by_time = {"seconds": 240, "steps": {"slow": 96, "fast": 1000}, "rows": rows}
    first, second = comparison_table(("slow", "fast"), by_time, {"rows": []}).splitlines()[1:]
    assert first.split()[-3:] == ["1", "–", "–"] and second.split()[-3:] == ["2", "–", "–"]
