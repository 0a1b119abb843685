"""The rule P * G >= H, guessed first and then revealed."""

import pytest
from browser import alive, choose, color_of, in_a_browser, pixel_of

SIDES = [4, 6, 8, 12, 16, 20, 24, 28, 32]
RED, GRAY = [204, 0, 0], [204, 204, 204]


def set_sliders(page, side, window, grid):
    dividers = [i for i in range(1, side + 1) if side % i == 0]
    for name, place in (
        ("side", SIDES.index(side)),
        ("window", dividers.index(window)),
        ("grid", dividers.index(grid)),
    ):
        page.locator(f"[data-choice={name}]").fill(str(place))


@in_a_browser
@pytest.mark.parametrize(
    "side, window, grid, reached", [(16, 4, 4, 16), (32, 4, 4, 16), (24, 6, 2, 12)]
)
def test_the_rule_is_revealed_when_asked(small, open_page, side, window, grid, reached):
    page = alive(open_page, small[2])
    choose(page, "view", "rule")
    set_sliders(page, side, window, grid)
    assert "depends" not in page.locator("[data-of=rule]").inner_text()
    page.click("text=Show the answer")
    said = f"all {side} tokens" if reached == side else f"only {reached} of {side} tokens"
    assert page.locator("[data-of=rule]").inner_text().endswith(f"depends on {said}.")


@in_a_browser
def test_tokens_windows_and_cells_are_drawn(small, open_page):
    page, side, window, grid = alive(open_page, small[2]), 24, 6, 2
    choose(page, "view", "rule")
    set_sliders(page, side, window, grid)
    attended, reached = (page.locator(f"canvas[data-of={of}]") for of in ("attended", "axis"))
    for axis, every in ((attended, side // grid), (reached, window)):
        for token in range(1, side):
            line = pixel_of(axis, token / side, 0.03)
            assert (line == RED) == (token % every == 0)
    query = side // 2
    for revealed in (False, True):
        for token in range(side):
            # above the number of a token, within its frame
            place = (token + 0.5) / side, 0.2
            marked = revealed and token % (side // grid) == query % (side // grid)
            assert pixel_of(attended, *place) == (color_of(0.9) if marked else GRAY)
            near = revealed and token // window in (0, query // window)
            assert pixel_of(reached, *place) == (color_of(0.9) if near else GRAY)
        page.click("text=Show the answer")


@in_a_browser
def test_numbers_move_with_the_sliders_and_the_token_with_the_pointer(small, open_page):
    page = alive(open_page, small[2])
    choose(page, "view", "rule")
    rule, side = page.locator("[data-of=rule]"), page.locator("[data-choice=side]")
    assert rule.inner_text() == "P * G = 4 * 4 = 16, H = 16."
    page.click("text=Show the answer")
    side.focus()
    side.evaluate("slider => (slider.held = true)")
    page.keyboard.press("ArrowRight")  # to 20, and the guess is open again
    assert rule.inner_text() == "P * G = 4 * 4 = 16, H = 20."
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")  # to 28
    assert page.locator("label:has([data-choice=side]) output").inner_text() == "28"
    assert side.get_attribute("aria-valuetext") == "28"
    assert page.evaluate("document.activeElement.held")  # the same slider: it can be dragged on
    page.locator("[data-choice=window]").fill("5")  # of 1, 2, 4, 7, 14, 28
    assert rule.inner_text() == "P * G = 28 * 4 = 112, H = 28."
    drag = "slider => { slider.value = 3; slider.dispatchEvent(new Event('input')); }"
    side.evaluate(drag)  # still held: numbers move before the drag ends
    assert rule.inner_text() == "P * G = 12 * 4 = 48, H = 12."
    page.locator("[data-choice=side]").fill("0")  # P and G give way
    assert rule.inner_text() == "P * G = 4 * 4 = 16, H = 4."
    page.locator("[data-choice=window]").fill("1")  # of 1, 2, 4
    page.locator("[data-choice=side]").fill("1")  # to 6, of whose dividers 3 is the next below 4
    assert rule.inner_text() == "P * G = 2 * 3 = 6, H = 6."
    page.locator("[data-choice=side]").fill("4")  # and to 16, where G is what was chosen
    assert rule.inner_text() == "P * G = 2 * 4 = 8, H = 16."
    set_sliders(page, 24, 6, 2)
    page.click("text=Show the answer")
    axis = page.locator("canvas[data-of=attended]")
    box = axis.bounding_box()
    page.mouse.move(box["x"] + 3.5 / 24 * box["width"], box["y"] + 20)
    assert pixel_of(axis, 3.5 / 24, 0.2) == pixel_of(axis, 15.5 / 24, 0.2) == color_of(0.9)
    assert pixel_of(axis, 12.5 / 24, 0.2) == GRAY


@in_a_browser
def test_the_framed_token_is_moved_by_keys(small, open_page):
    page = alive(open_page, small[2])
    choose(page, "view", "rule")
    set_sliders(page, 16, 4, 4)
    page.click("text=Show the answer")
    axis = page.locator("canvas[data-of=attended]")
    axis.focus()
    for token in (9, 10):
        page.keyboard.press("ArrowRight")
        attended = [pixel_of(axis, (i + 0.5) / 16, 0.2) == color_of(0.9) for i in range(16)]
        assert attended == [i % 4 == token % 4 for i in range(16)]
    for _ in range(20):
        page.keyboard.press("ArrowLeft")  # stays at the edge
    assert pixel_of(axis, 0.5 / 16, 0.2) == color_of(0.9)
