"""The attention that the page shows in a browser is what Python computes."""

import re
from itertools import product

import numpy as np
import pytest
import torch
from browser import (
    alive,
    choose,
    colors_near,
    head_pixel,
    hover,
    in_a_browser,
    one_layer,
    pixel,
    text_of,
)
from explored import CLASSES, images, rounded

from minimaxvit.seeing.explorer import explorer


@in_a_browser
@pytest.mark.parametrize("head", [-1, 1])
@pytest.mark.parametrize("network, picture", [("one", 0), ("two", 1)])
def test_what_is_read_is_what_python_says(small, open_page, network, picture, head):
    networks, pictures, fragment = small
    page = alive(open_page, fragment)
    choose(page, "image", picture)
    choose(page, "network", list(networks).index(network))
    maps = rounded(networks[network], pictures, picture)
    for layer in ("1.1 BlockAttention", "1.1 GridAttention", "2.2 GridAttention"):
        choose(page, "layer", layer)
        if layer.startswith("2"):  # with several heads
            choose(page, "head", head)
        attention, (h, w) = maps[layer], maps[layer].size
        for query in [(0, 0), (h - 1, 1), (h // 2, w - 1)]:
            hover(page, layer, query, (h, w))
            for terms in ("both", "scores", "bias"):
                choose(page, "terms", terms)
                weights = attention.weights(terms != "bias", terms != "scores")
                if layer.startswith("2") and head >= 0:
                    weights = weights[:, head][:, None]
                compare(page, layer, attention, weights.mean(1, keepdim=True), query)
            choose(page, "terms", "both")


def compare(page, layer, attention, weights, query):
    h, w = attention.size
    row = attention.row(query, weights)[0, 0]
    assert text_of(page, layer, "query").startswith(f"row {query[0]}, column {query[1]};")
    assert text_of(page, layer, "keys") == f"4 of {h * w}"
    shares = np.array(re.findall(r": ([\d.]+)", text_of(page, layer, "strongest")), dtype=float)
    assert np.abs(shares - row.flatten().topk(4).values.numpy()).max() <= 0.0005001
    best = divmod(row.argmax().item(), w)
    if shares[0] - shares[1] > 0.001:
        assert text_of(page, layer, "strongest").startswith(
            f"{best[0]}, {best[1]}: {row.max():.3f}"
        )
    assert text_of(page, layer, "sum") == "1.000"
    bits = -torch.xlogy(row, row).sum() / np.log(2)
    near(text_of(page, layer, "entropy"), bits)
    near(text_of(page, layer, "distance"), distance(attention, row, query))


def distance(attention, row, query):
    """Mean distance in pixels, by the coordinates of the map."""
    h, w = attention.size
    rows, columns = torch.arange(h)[:, None] - query[0], torch.arange(w)[None] - query[1]
    return (row * attention.stride * (rows**2 + columns**2).sqrt()).sum()


def near(text, number):
    assert abs(float(re.match(r"-?[\d.]+", text)[0]) - number) <= 0.0005001


@in_a_browser
def test_a_logit_is_score_plus_bias_of_the_key_that_is_pointed_at(small, open_page):
    networks, pictures, fragment = small
    page, layer = alive(open_page, fragment), "1.1 GridAttention"
    attention = rounded(networks["one"], pictures, 0)[layer]
    page.mouse.click(*hover(page, layer, (1, 2), (4, 8)))
    assert "(locked)" in text_of(page, layer, "query")
    group, slot = (attention.keys == 1 * 8 + 2).nonzero()[0]
    for key, token in enumerate(attention.keys[group].tolist()):
        hover(page, layer, divmod(token, 8), (4, 8))
        score, bias = attention.scores[0, 0, group, slot, key], attention.bias[0, 0, slot, key]
        said = re.findall(r"-?\d+\.\d+", text_of(page, layer, "logit"))
        for number, known in zip(said, (score + bias, score, bias), strict=True):
            near(number, known)
        assert text_of(page, layer, "key").startswith(f"{token // 8}, {token % 8}: ")
        assert text_of(page, layer, "query").startswith("row 1, column 2;")


@in_a_browser
def test_keys_do_what_the_pointer_does(small, open_page):
    page, layer = alive(open_page, small[2]), "1.1 BlockAttention"
    one_layer(page, layer)
    hover(page, layer, (2, 3), (4, 8))
    by_pointer = page.locator(".mmv-reading").inner_text()
    page.mouse.move(1, 1)
    page.locator("canvas[data-of=picture]").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    assert text_of(page, layer, "query").startswith("row 1, column 2;")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.locator(".mmv-reading").inner_text() == by_pointer
    page.keyboard.press("Enter")
    assert "(locked)" in text_of(page, layer, "query")
    before = text_of(page, layer, "key")
    page.keyboard.press("Shift+ArrowRight")
    assert text_of(page, layer, "key") != before
    assert text_of(page, layer, "query").startswith("row 2, column 3;")
    page.keyboard.press("Escape")
    assert text_of(page, layer, "key") == before and "(locked)" not in text_of(page, layer, "query")
    for _ in range(9):  # at the edge it stays
        page.keyboard.press("ArrowRight")
    assert text_of(page, layer, "query").startswith("row 2, column 7;")


@in_a_browser
def test_a_key_has_the_color_of_its_weight_on_the_scale_that_is_said(small, open_page):
    networks, pictures, fragment = small
    page, layers = alive(open_page, fragment), ("2.1 BlockAttention", "2.1 GridAttention")
    choose(page, "layer", layers[0])
    hover(page, layers[0], (0, 1), (2, 4))
    maps = rounded(networks["one"], pictures, 0)
    rows = {}
    for layer in layers:
        rows[layer] = maps[layer].row((0, 1), maps[layer].weights())[0]  # (heads, h, w)
    for scale in ("true", "false"):
        choose(page, "scale", scale)
        for layer, row in rows.items():
            chosen = rows.values() if scale == "true" else [row]
            most = max(each.mean(0).max() for each in chosen)
            most_of_heads = max(each.max() for each in chosen)
            assert text_of(page, layer, "low") == "0.000"
            assert abs(float(text_of(page, layer, "high")) - most) <= 0.0005001
            said = "one scale for both" if scale == "true" else "a scale of its own"
            assert said in text_of(page, layer, "scale")
            told = page.locator(f"[data-layer='{layer}'] p.mmv-note").inner_text()
            assert f"; colors from 0.000 to {most_of_heads:.3f})" in told
            for token in (row.mean(0) > 0).nonzero().tolist():
                place = [(at + 0.5) / side for at, side in zip(token[::-1], (4, 2), strict=True)]
                drawn = pixel(page, layer, "picture", place[0] - 0.49 / 4 + 0.02, place[1])
                if token != [0, 1]:
                    assert drawn in colors_near(row.mean(0)[tuple(token)] / most)
                drawn = head_pixel(page, layer, 1, *place)
                assert drawn in colors_near(row[1][tuple(token)] / most_of_heads)


@in_a_browser
def test_matrix_and_bias_table_are_drawn_as_they_are(small, open_page):
    networks, pictures, fragment = small
    page, layer = alive(open_page, fragment), "1.1 GridAttention"
    hover(page, layer, (1, 2), (4, 8))
    attention = rounded(networks["one"], pictures, 0)[layer]
    group = (attention.keys == 1 * 8 + 2).nonzero()[0, 0]
    weights = attention.weights()[0, 0, group]  # (t, t)
    places = [divmod(slot, 2) for slot in range(4)]
    offsets = torch.full((3, 3), float("nan"), dtype=torch.float64)
    for (query, (a, b)), (key, (c, d)) in product(enumerate(places), repeat=2):
        offsets[c - a + 1, d - b + 1] = attention.bias[0, 0, query, key]
    shares = {
        "matrix": weights / weights.max(),
        "table": (offsets - offsets.min()) / (offsets.max() - offsets.min()),
    }
    for canvas, share in shares.items():
        rows, columns = share.shape
        for row, column in product(range(rows), range(columns)):
            drawn = pixel(page, layer, canvas, (column + 0.5) / columns, (row + 0.5) / rows)
            assert drawn in colors_near(share[row, column])


@in_a_browser
def test_what_is_attended_to_and_who_attends_are_row_and_column(small, open_page):
    networks, pictures, fragment = small
    page, layer = alive(open_page, fragment), "1.1 GridAttention"
    choose(page, "layer", layer)
    choose(page, "direction", "by")
    hover(page, layer, (3, 5), (4, 8))
    attention = rounded(networks["one"], pictures, 0)[layer]
    column = attention.lift(attention.weights())[0].mean(0)[:, 3 * 8 + 5]
    shares = [
        float(share) for share in re.findall(r": ([\d.]+)", text_of(page, layer, "strongest"))
    ]
    known = column[column > 0].sort(descending=True).values
    assert np.abs(np.array(shares) - known.numpy()).max() <= 0.0005001


@in_a_browser
@pytest.mark.parametrize("first", ["2.1 GridAttention", "2.2 BlockAttention", "1.1 GridAttention"])
def test_block_stands_beside_the_grid_of_the_same_maxvit_block(small, open_page, first):
    page = alive(open_page, small[2])
    choose(page, "layer", first)
    assert page.input_value("[data-choice=layer]") == first
    block, pictures = first.split()[0], page.locator("canvas[data-of=picture]")
    layers = [f"{block} BlockAttention", f"{block} GridAttention"]
    above = "canvas => canvas.closest('section').dataset.layer"
    assert [each.evaluate(above) for each in pictures.all()] == layers
    choose(page, "layers", "false")
    assert [each.evaluate(above) for each in pictures.all()] == [first]


@in_a_browser
def test_a_click_locks_and_a_second_one_unlocks(small, open_page):
    page, layer = alive(open_page, small[2]), "1.1 BlockAttention"
    place = hover(page, layer, (1, 1), (4, 8))
    page.mouse.click(*place)
    assert "(locked)" in text_of(page, layer, "query")
    page.locator("canvas[data-of=matrix]").first.hover()  # asks nobody else
    assert text_of(page, layer, "query").startswith("row 1, column 1;")
    choose(page, "view", "fields")
    assert "(locked)" in text_of(page, layer, "where")
    choose(page, "view", "attention")
    page.mouse.click(*hover(page, layer, (1, 1), (4, 8)))
    assert "(locked)" not in text_of(page, layer, "query")


@in_a_browser
@pytest.mark.parametrize("direction", ["to", "by"])
def test_any_attention_is_read_as_it_is_in_python(odd, open_page, direction):
    model, pictures, fragment = odd
    page, maps = alive(open_page, fragment), rounded(model, pictures, 0)
    choose(page, "direction", direction)
    for layer, attention in maps.items():
        choose(page, "layer", layer)
        lifted = attention.lift(attention.weights())[0].mean(0)  # (queries, keys)
        places = attention.places if direction == "to" else attention.key_places
        for query in [(0, 0), (1, places.w - 1), (places.h - 1, 1)]:
            choose(page, "query", "")
            hover(page, layer, query, (places.h, places.w))
            numbers = attention.queries if direction == "to" else attention.keys
            place = query[0] * places.w + query[1]
            if (numbers == place).any():
                assert text_of(page, layer, "query").startswith(
                    f"row {query[0]}, column {query[1]}"
                )
            else:  # class attention: an extra token asks
                place = numbers.min().item()
                assert text_of(page, layer, "query") == "extra token 1"
            compare_line(page, layer, lifted[place] if direction == "to" else lifted[:, place])
        for extra in range(attention.places.extra):
            choose(page, "query", extra)
            place = places.h * places.w + extra
            assert text_of(page, layer, "query") == f"extra token {extra + 1}"
            compare_line(page, layer, lifted[place] if direction == "to" else lifted[:, place])


def compare_line(page, layer, line):
    said = re.findall(r": ([\d.]+)", text_of(page, layer, "strongest"))
    known = line[line > 0].sort(descending=True).values[: len(said)].numpy()
    assert int(text_of(page, layer, "keys").split()[0]) >= len(known)
    assert np.abs(np.array(said, dtype=float)[: len(known)] - known).max() <= 0.0005001


@in_a_browser
def test_where_there_is_no_key_there_is_no_logit(odd, open_page):
    model, pictures, fragment = odd
    page, layer = alive(open_page, fragment), "1.1 RowAttention"
    choose(page, "layer", layer)
    choose(page, "numbers", "false")
    hover(page, layer, (0, 0), (8, 8))
    attention = rounded(model, pictures, 0)[layer]
    logits = (attention.scores + attention.bias)[0, 0, 0, 0]
    said = re.findall(r": (-?[\d.]+)", text_of(page, layer, "strongest"))
    assert text_of(page, layer, "keys") == "2 of 64" and len(said) == 2
    for number, known in zip(said, logits[1:].sort(descending=True).values, strict=True):
        near(number, known)
    assert pixel(page, layer, "matrix", 0.1, 0.1)[0] == 255  # hatched on white


@in_a_browser
def test_an_extra_token_chosen_is_not_moved_by_arrow_keys(odd, open_page):
    page, layer = alive(open_page, odd[2]), "1.1 ClassAttention"
    one_layer(page, layer)
    choose(page, "query", 1)
    key = text_of(page, layer, "key")
    page.locator("canvas[data-of=picture]").focus()
    page.keyboard.press("ArrowRight")
    assert text_of(page, layer, "query") == "extra token 2" and text_of(page, layer, "key") != key
    hover(page, layer, (2, 5), (8, 8))  # then the pointer chooses a key, too
    assert text_of(page, layer, "key").startswith("2, 5: ")
    assert text_of(page, layer, "query") == "extra token 2"


@in_a_browser
def test_what_a_layer_does_not_have_is_not_shown(odd, open_page):
    page = alive(open_page, odd[2])
    for layer, table in {"1.1 ReducedAttention": 0, "1.1 BlockAttention": 1}.items():
        one_layer(page, layer)
        assert page.locator("canvas[data-of=table]").count() == table
        assert page.locator("[data-choice=terms]").count() == table
        assert ("cut by" in text_of(page, layer, "group")) == table


@in_a_browser
def test_a_caption_says_in_a_sentence_what_is_seen(small, open_page):
    networks, pictures, fragment = small
    page, layer = alive(open_page, fragment), "1.1 GridAttention"
    place = hover(page, layer, (2, 5), (4, 8))
    attention = rounded(networks["one"], pictures, 0)[layer]
    row = attention.row((2, 5), attention.weights())[0].mean(0)
    most = "row {}, column {}".format(*divmod(row.argmax().item(), 8))
    assert text_of(page, layer, "caption") == (
        f"The token at row 2, column 5 attends to 4 of 32 tokens, most to the one at {most}: "
        f"{row.max():.3f}."
    )
    page.mouse.click(*place)
    assert text_of(page, layer, "caption").endswith(
        ". It is locked; a click or tap on it unlocks it."
    )
    choose(page, "direction", "by")
    assert " is attended to by 4 of 32 tokens, most by the one at " in text_of(
        page, layer, "caption"
    )


@in_a_browser
def test_heads_have_captions_and_are_chosen_by_keyboard(small, open_page):
    networks, pictures, fragment = small
    page, layer = alive(open_page, fragment), "2.1 GridAttention"
    choose(page, "layer", layer)
    heads = page.locator(f"[data-layer='{layer}'] .mmv-head")
    attention = rounded(networks["one"], pictures, 0)[layer]
    query = tuple(map(int, re.findall(r"\d+", text_of(page, layer, "query"))[:2]))
    row = attention.row(query, attention.weights())[0]
    known = [row.mean(0).max(), *row.amax((1, 2))]
    for head, name, most in zip(heads.all(), ("mean", "head 1", "head 2"), known, strict=True):
        said, number = head.locator("span").all_inner_texts()
        assert said == name and abs(float(number) - most) <= 0.0005001
    page.locator(f"[data-layer='{layer}'] canvas[data-of=picture]").focus()
    for _ in range(2 + 1):  # to the mean, and on to the second head
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert heads.nth(2).get_attribute("aria-pressed") == "true"
    assert page.input_value("[data-choice=head]") == "1"
    assert page.evaluate("document.activeElement.dataset.choice") == f"head:{layer}:1"


@in_a_browser
def test_words_follow_the_direction(small, open_page):
    page, layer = alive(open_page, small[2]), "1.1 GridAttention"
    said = {}
    for direction in ("to", "by"):
        choose(page, "direction", direction)
        hover(page, layer, (1, 2), (4, 8))
        section = page.locator(f"[data-layer='{layer}']:has(dl)")
        label = page.locator(f"[data-layer='{layer}'] canvas[data-of=picture]")
        said[direction] = {
            "terms": section.locator("dt").all_inner_texts()[:5],
            "hint": page.locator(".mmv-hint").inner_text(),
            "signs": page.locator("p.mmv-note:has(.mmv-sign)").inner_text(),
            "spoken": page.locator("[aria-live=polite]").inner_text(),
            "label": label.get_attribute("aria-label"),
        }
    to, by = said["to"], said["by"]
    assert to["terms"] == ["query", "group", "keys", "strongest keys", "dashed key"]
    assert by["terms"] == ["key", "group", "queries", "strongest queries", "dashed query"]
    assert "that it attends to" in to["hint"] and "that attends to it" in by["hint"]
    assert "the query: the token" in to["signs"] and "the key: the token" in by["signs"]
    assert ": query row 1, column 2;" in to["spoken"] and "; key " in to["spoken"]
    assert ": key row 1, column 2;" in by["spoken"] and "; query " in by["spoken"]
    assert "move the query" in to["label"] and "move the key" in by["label"]


@in_a_browser
def test_the_uniform_distance_is_that_of_this_query(small, open_page):
    page, layer = alive(open_page, small[2]), "1.1 GridAttention"
    for query in ((0, 0), (2, 5)):  # windows of 2 x 2: strides of 2 rows and 4 columns, 4 pixels
        hover(page, layer, query, (4, 8))
        uniform = 4 * (0 + 2 + 4 + (2**2 + 4**2) ** 0.5) / 4
        said = text_of(page, layer, "distance")
        assert said.endswith(f" pixels; {uniform:.3f} if it attended to all of them equally")
    layer = "2.1 BlockAttention"
    choose(page, "layer", layer)
    hover(page, layer, (1, 3), (2, 4))
    said = text_of(page, layer, "distance")
    assert f" pixels; {8 * (0 + 1 + 1 + 2**0.5) / 4:.3f} if" in said


@in_a_browser
def test_what_a_logit_leaves_out_is_said(small, open_page):
    page, layer = alive(open_page, small[2]), "1.1 GridAttention"
    page.mouse.click(*hover(page, layer, (1, 2), (4, 8)))
    hover(page, layer, (3, 6), (4, 8))  # one of its keys, which stays
    _, score, bias = re.findall(r"-?\d+\.\d+", text_of(page, layer, "logit"))
    for terms, words in {
        "scores": f"score {score} alone, without its bias {bias}",
        "bias": f"bias {bias} alone, without its score {score}",
    }.items():
        choose(page, "terms", terms)
        assert text_of(page, layer, "logit") == words


@in_a_browser
def test_a_lock_is_seen_and_released_in_every_view(small, open_page):
    page, layer = alive(open_page, small[2]), "1.1 BlockAttention"
    page.mouse.click(*hover(page, layer, (1, 1), (4, 8)))
    for view in ("overview", "fields", "attention"):
        choose(page, "view", view)
        said = page.locator("[data-of=lock]").inner_text()
        assert said.startswith("Locked at row 1, column 1 of 4 x 8. Escape unlocks it")
    page.click("[data-choice=unlock]")
    assert not page.locator("[data-choice=unlock]").is_visible()
    hover(page, layer, (0, 5), (4, 8))
    assert text_of(page, layer, "query").startswith("row 0, column 5;")


@in_a_browser
@pytest.mark.parametrize("width", [1000, 400])
def test_a_lock_moves_no_picture(small, open_page, width):
    page, layer = alive(open_page, small[2]), "1.1 BlockAttention"
    page.set_viewport_size({"width": width, "height": 1200})
    picture = page.locator(f"[data-layer='{layer}'] canvas[data-of=picture]")
    place = hover(page, layer, (1, 1), (4, 8))
    before = picture.bounding_box()
    page.mouse.click(*place)
    assert "(locked)" in text_of(page, layer, "query") and picture.bounding_box() == before
    page.mouse.click(*place)
    assert "(locked)" not in text_of(page, layer, "query") and picture.bounding_box() == before


@in_a_browser
def test_the_key_chosen_goes_with_the_lock(small, open_page):
    page, layer = alive(open_page, small[2]), "1.1 GridAttention"
    page.locator(f"[data-layer='{layer}'] canvas[data-of=picture]").focus()
    strongest = text_of(page, layer, "key")
    for key in ("Enter", "ArrowRight"):
        page.keyboard.press(key)
    assert text_of(page, layer, "key") != strongest
    page.keyboard.press("Enter")
    assert text_of(page, layer, "key") == strongest


@in_a_browser
def test_the_plain_image_chooses_no_keys(small, open_page):
    page, layers = alive(open_page, small[2]), ("1.1 BlockAttention", "1.1 GridAttention")
    page.locator("canvas[data-of=image]").focus()
    before = [text_of(page, layer, "query") for layer in layers]
    page.keyboard.press("Shift+ArrowLeft")
    assert all(
        text_of(page, each, "query") != was for each, was in zip(layers, before, strict=True)
    )
    page.keyboard.press("Enter")
    said = [[text_of(page, layer, of) for of in ("query", "key")] for layer in layers]
    page.keyboard.press("ArrowLeft")
    assert said == [[text_of(page, layer, of) for of in ("query", "key")] for layer in layers]


@in_a_browser
def test_the_hint_says_which_keys_have_rings(small, open_page):
    page = alive(open_page, small[2])
    hint = page.locator(".mmv-hint")
    choose(page, "mass", "0.5")
    assert (
        "rings mark the fewest tokens that hold 50% of the weight that it gives"
        in hint.inner_text()
    )
    choose(page, "direction", "by")
    assert "50% of the weight that it gets, and a wider" in hint.inner_text()
    choose(page, "numbers", "false")
    assert "a ring marks each token that attends to it" in hint.inner_text()


@in_a_browser
def test_a_layer_with_a_single_group_says_that_it_sees_the_whole_map(small, open_page):
    model, layer = small[0]["one"], "2.1 BlockAttention"
    square = explorer({"one": model}, images(1, 16, 16), ["x"], CLASSES)  # 2 x 2 tokens
    for fragment, whole in ((small[2], False), (square, True)):
        page = alive(open_page, fragment)
        one_layer(page, layer)
        kind = page.locator(f"[data-layer='{layer}'] .mmv-kind").inner_text()
        assert kind.endswith("stands in: here, all tokens of the map.") == whole


@in_a_browser
def test_a_finger_locks_a_token_and_then_taps_its_keys(small, open_page):
    page, layer = alive(open_page, small[2], has_touch=True), "1.1 GridAttention"

    def tap(row, column):
        place = hover(page, layer, (0, 0), (4, 8))  # scrolls there
        canvas = page.locator(f"[data-layer='{layer}'] canvas[data-of=picture]").bounding_box()
        x, y = (column + 0.5) * canvas["width"] / 8, (row + 0.5) * canvas["height"] / 4
        page.mouse.move(1, 1)
        page.touchscreen.tap(canvas["x"] + x, canvas["y"] + y)
        return place

    tap(1, 2)
    assert text_of(page, layer, "query").startswith("row 1, column 2;")
    assert page.locator("[data-of=lock]").inner_text().startswith("Locked at row 1, column 2")
    tap(3, 6)  # one of its keys
    assert text_of(page, layer, "query").startswith("row 1, column 2;")
    assert text_of(page, layer, "key").startswith("3, 6: ")
    tap(0, 0)  # none of its keys: the lock moves
    assert text_of(page, layer, "query").startswith("row 0, column 0;")
    tap(0, 0)
    assert page.locator("[data-of=lock]").inner_text().startswith("A click or tap")


@in_a_browser
def test_a_choice_that_logits_do_not_have_is_not_offered(small, open_page):
    page = alive(open_page, small[2])
    assert page.locator("[data-choice=mass]").count() == 1
    choose(page, "numbers", "false")
    assert page.locator("[data-choice=mass]").count() == 0


@in_a_browser
def test_of_logits_the_words_claim_no_attention(small, open_page):
    networks, pictures, fragment = small
    page, layer = alive(open_page, fragment), "2.1 GridAttention"
    choose(page, "layer", layer)
    choose(page, "numbers", "false")
    hover(page, layer, (1, 2), (2, 4))
    attention = rounded(networks["one"], pictures, 0)[layer]
    group, slot = (attention.keys == 1 * 4 + 2).nonzero()[0]
    logits = (attention.scores + attention.bias)[0, :, group, slot].mean(0)
    most = "row {}, column {}".format(*divmod(attention.keys[group, logits.argmax()].item(), 4))
    caption = text_of(page, layer, "caption")
    assert f"tokens, and the largest mean logit is that of the one at {most}: " in caption
    assert "most to" not in caption
    terms = page.locator(f"[data-layer='{layer}']:has(dl) dt").all_inner_texts()
    assert "largest logits" in terms and "strongest keys" not in terms
    assert "a larger logit" in page.locator(".mmv-hint").inner_text()
    assert "with the largest logit" in page.locator("p.mmv-note:has(.mmv-sign)").inner_text()


@in_a_browser
def test_the_key_pointed_at_in_one_picture_is_not_that_of_the_other(small, open_page):
    page, block, grid = alive(open_page, small[2]), "1.1 BlockAttention", "1.1 GridAttention"
    page.mouse.click(*hover(page, grid, (1, 2), (4, 8)))
    strongest = text_of(page, block, "strongest").split(";")[0]
    for key in ((1, 2), (1, 6), (3, 2), (3, 6)):
        hover(page, grid, key, (4, 8))
        assert text_of(page, grid, "key").startswith(f"{key[0]}, {key[1]}: ")
        assert text_of(page, block, "key") == strongest


@in_a_browser
def test_numbers_of_the_mean_of_heads_say_that_they_are(small, open_page):
    page, layer = alive(open_page, small[2]), "2.1 GridAttention"
    assert "mean of the heads" not in text_of(page, "1.1 GridAttention", "entropy")  # a single head
    choose(page, "layer", layer)
    assert "of the mean of the heads" in text_of(page, layer, "entropy")
    choose(page, "head", 1)
    assert "mean of the heads" not in text_of(page, layer, "entropy")
