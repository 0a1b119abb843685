"""Costs are bars with their numbers beside them."""

from minimaxvit.seeing import draw_costs


def test_costs_are_drawn_with_their_numbers_and_alt_text():
    figure, alt = draw_costs({"this": 3_000_000, "that": 1_000_000}, "This costs most")
    (axes,) = figure.axes
    assert axes.get_title() == "This costs most"
    assert [bar.get_width() for bar in axes.patches] == [3, 1]
    assert [text.get_text() for text in axes.texts] == ["3.0 M, 75.0%", "1.0 M, 25.0%"]
    assert alt == (
        "This costs most. Multiply-adds: this 3.0 M, 75.0%; that 1.0 M, 25.0%; in all 4.0 M."
    )
