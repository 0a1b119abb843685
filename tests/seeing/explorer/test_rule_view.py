"""The rule P * G >= H, guessed first and then revealed."""

import pytest
from browser import alive, choose, in_a_browser


@in_a_browser
@pytest.mark.parametrize(
    "side, window, grid, reached", [(16, 4, 4, 16), (32, 4, 4, 16), (24, 6, 2, 12)]
)
def test_the_rule_is_revealed_when_asked(small, open_page, side, window, grid, reached):
    page = alive(open_page, small[2])
    choose(page, "view", "rule")
    for name, place in (
        ("side", [4, 6, 8, 12, 16, 20, 24, 28, 32].index(side)),
        ("window", [i for i in range(1, side + 1) if side % i == 0].index(window)),
        ("grid", [i for i in range(1, side + 1) if side % i == 0].index(grid)),
    ):
        page.locator(f"[data-choice={name}]").fill(str(place))
    assert "depends" not in page.locator("[data-of=rule]").inner_text()
    page.click("text=I have guessed")
    assert page.locator("[data-of=rule]").inner_text().endswith(f"depends on {reached} of {side}.")
