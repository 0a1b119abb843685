"""All heads of all layers at once, for one query."""

import re

from browser import alive, choose, color_of, colors_near, head_pixel, in_a_browser, text_of
from explored import rounded

QUERY = 0.35, 0.7  # as fractions of the sides


def point(page, down, right):
    """Point at a place of the plain image."""
    box = page.locator("canvas[data-of=image]").bounding_box()
    page.mouse.move(box["x"] + right * box["width"], box["y"] + down * box["height"])


@in_a_browser
def test_every_head_of_every_layer_is_shown_with_its_largest_weight(small, open_page):
    networks, pictures, fragment = small
    page, maps = alive(open_page, fragment), rounded(networks["two"], pictures, 1)
    choose(page, "view", "overview")
    choose(page, "image", 1)
    choose(page, "network", 1)
    point(page, *QUERY)
    largest = []
    for layer, attention in maps.items():
        h, w = attention.size
        rows = attention.row((int(QUERY[0] * h), int(QUERY[1] * w)), attention.weights())[0]
        known = [*rows.amax((1, 2))] if len(rows) == 1 else [rows.mean(0).max(), *rows.amax((1, 2))]
        names = [f"head {head + 1}" for head in range(len(rows))]
        names = names if len(rows) == 1 else ["mean", *names]
        heads = page.locator(f"[data-layer='{layer}'] .mmv-head")
        for head, name, most in zip(heads.all(), names, known, strict=True):
            said, number = head.locator("span").all_inner_texts()
            assert said == name and abs(float(number) - most) <= 0.0005001
        largest.append(rows.max())
    high = page.locator("[data-of=high]").inner_text()
    assert abs(float(high) - max(largest)) <= 0.0005001
    assert "one scale for all" in page.locator("[data-of=scale]").inner_text()
    layer, attention = "2.1 GridAttention", maps["2.1 GridAttention"]
    row = attention.row((0, 2), attention.weights())[0][1]
    for at in (row > 0).nonzero().tolist():
        if at != [0, 2]:
            place = (at[1] + 0.5) / 4, (at[0] + 0.5) / 2
            assert head_pixel(page, layer, 1, *place) in colors_near(row[tuple(at)] / max(largest))
    choose(page, "scale", "false")
    assert "a scale of its own" in page.locator("[data-of=scale]").inner_text()
    best = divmod(row.argmax().item(), 4)
    if best != (0, 2):
        place = (best[1] + 0.5) / 4, (best[0] + 0.5) / 2
        assert head_pixel(page, layer, 1, *place) == color_of(1)


@in_a_browser
def test_a_click_or_enter_opens_a_head(small, open_page):
    page, layer = alive(open_page, small[2]), "2.2 GridAttention"
    for press in ("click", "Enter"):
        choose(page, "view", "overview")
        point(page, *QUERY)
        head = page.locator(f"[data-choice='head:{layer}:1']")
        number = head.locator("span").nth(1).inner_text()
        if press == "click":
            head.click()
        else:
            head.focus()
            page.keyboard.press("Enter")
        pictures = page.locator("canvas[data-of=picture]")
        assert pictures.count() == 1 and page.input_value("[data-choice=head]") == "1"
        assert text_of(page, layer, "key").endswith(f": {number}")
        assert text_of(page, layer, "query").startswith("row 0, column 2;")
        assert page.evaluate("document.activeElement.dataset.choice") == f"picture:{layer}"


@in_a_browser
def test_the_query_is_moved_by_keys_and_numbers_may_be_scores(small, open_page):
    page = alive(open_page, small[2])
    choose(page, "view", "overview")
    page.locator("canvas[data-of=image]").focus()
    before = page.locator(".mmv-heads").all_inner_texts()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    moved = page.locator(".mmv-heads").all_inner_texts()
    assert moved != before
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    assert page.locator(".mmv-heads").all_inner_texts() == before
    choose(page, "numbers", "false")
    assert page.locator("[data-of=scale]").inner_text().startswith("logit, ")
    assert page.locator(".mmv-heads").all_inner_texts() != before


@in_a_browser
def test_blocks_stand_beside_their_grids(small, open_page):
    page = alive(open_page, small[2])
    choose(page, "view", "overview")
    for block in ("1.1", "2.1", "2.2"):
        left, right = (
            page.locator(f"section[data-layer='{block} {kind}Attention']").bounding_box()
            for kind in ("Block", "Grid")
        )
        assert left["y"] == right["y"] and left["x"] < right["x"]


@in_a_browser
def test_any_attention_has_its_place(odd, open_page):
    model, pictures, fragment = odd
    page = alive(open_page, fragment)
    choose(page, "view", "overview")
    for layer in rounded(model, pictures, 0):
        heads = page.locator(f"[data-layer='{layer}'] .mmv-head")
        assert re.fullmatch(r"head 1\s+[\d.]+", heads.inner_text())
    choose(page, "query", 0)
    assert page.locator("[data-layer='1.1 ClassAttention'] .mmv-head").count() == 1
