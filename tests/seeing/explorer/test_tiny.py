"""The explorer's page for MaxViT-T at 224 x 224: few bytes, true numbers, maps that are seen."""

import re

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
    settled,
    text_of,
)
from explored import carried, decoded, images
from helpers import randomize

from minimaxvit import maxvit
from minimaxvit.seeing import rollout, trace
from minimaxvit.seeing.explorer import explorer, explorer_page
from minimaxvit.seeing.measure.recording import attention_maps

pytestmark = pytest.mark.slow

ERROR = 0.0015  # that half precision may make in an attention weight, for scores of up to 10
DIGITS = 0.0005001  # and rounding to three decimals


@pytest.fixture(scope="module")
def tiny():
    """A network of random weights, an image that does not compress, and the explorer."""
    model, pictures = randomize(maxvit("tiny")).float(), images(1, 224, 224)
    classes = [f"class {number}" for number in range(1000)]
    return model, pictures, explorer({"tiny": model}, pictures, ["noise"], classes, "ImageNet")


def test_a_photograph_takes_less_than_8_megabytes(tiny):
    assert len(explorer_page(tiny[2], "Look").encode()) < 8_000_000


def test_attention_weights_are_those_recorded_but_for_half_precision(tiny):
    model, pictures, fragment = tiny
    held = carried(fragment)["networks"][0]["attention"]
    maps = attention_maps(model, pictures)
    assert len(held) == 22 and held.keys() == maps.keys()
    for name, attention in maps.items():
        (scores,) = held[name]["scores"]
        logits = torch.tensor(decoded(scores, np.float16)).double().view(attention.scores[0].shape)
        table = torch.tensor(decoded(held[name]["table"], np.float16)).double()
        index = model.layers()[name].attention.bias.index
        logits += table.view(len(logits), -1)[:, None, index]
        assert (logits.softmax(-1) - attention.weights()[0]).abs().max() < ERROR


@in_a_browser
@pytest.mark.parametrize(
    "layer, query, head",
    [("1.1 BlockAttention", (9, 50), 1), ("1.2 GridAttention", (55, 3), 0)]
    + [("4.1 BlockAttention", (2, 6), 15), ("4.2 GridAttention", (6, 0), 7)],
)
def test_each_key_of_a_query_has_the_weight_recorded(tiny, open_page, layer, query, head):
    model, pictures, fragment = tiny
    attention = attention_maps(model, pictures)[layer]
    row, (h, w) = attention.row(query, attention.weights())[0, head], attention.size
    page = alive(open_page, fragment)
    one_layer(page, layer)
    choose(page, "head", head)
    page.mouse.click(*hover(page, layer, query, (h, w)))
    keys = (row > 0).nonzero().tolist()
    assert len(keys) == 49 == int(text_of(page, layer, "keys").split()[0])
    for key in keys:
        hover(page, layer, key, (h, w))
        place, said = text_of(page, layer, "key").split(": ")
        assert place == f"{key[0]}, {key[1]}"
        assert abs(float(said) - row[tuple(key)]) <= ERROR + DIGITS
    assert text_of(page, layer, "sum") == "1.000"


@in_a_browser
def test_it_opens_where_patches_can_be_seen(tiny, open_page):
    page = alive(open_page, tiny[2])
    assert page.input_value("[data-choice=layer]") == "3.1 BlockAttention"
    said = page.locator(".mmv-about").inner_text()
    assert "the network answers with one of 1,000 ImageNet classes." in said


@in_a_browser
def test_heads_whose_patches_are_too_small_show_a_square_per_key(tiny, open_page):
    model, pictures, fragment = tiny
    page, maps = alive(open_page, fragment), attention_maps(model, pictures)
    choose(page, "view", "overview")
    high = float(page.locator("[data-of=high]").inner_text())
    for layer, attention in maps.items():
        heading = page.locator(f"section[data-layer='{layer}'] h4").inner_text()
        assert ("a square per key" in heading) == (attention.size[0] > 20)
    for layer in ("1.1 BlockAttention", "2.2 GridAttention"):
        attention, (h, w) = maps[layer], maps[layer].size
        query = h // 2, w // 2  # where the page begins
        row = attention.row(query, attention.weights())[0, 1]
        keys, at = (row > 0).nonzero().tolist(), (row > 0).nonzero().tolist().index(list(query))
        for number, key in enumerate(keys):
            if number != at:
                down, right = (number // 7 + 0.5) / 7, (number % 7 + 0.5) / 7
                color = head_pixel(page, layer, 1, right, down)
                assert color in colors_near(row[tuple(key)] / high)


@in_a_browser
def test_the_image_that_is_pointed_at_stays_in_view(tiny, open_page):
    page = alive(open_page, tiny[2])
    for view in ("overview", "fields"):
        choose(page, "view", view)
        settled(page)
        last = page.locator("[data-layer='4.2 GridAttention']").last
        last.scroll_into_view_if_needed()
        assert page.evaluate("scrollY") > 1000
        box = page.locator("canvas[data-of=image]").bounding_box()
        assert 0 <= box["y"] < 50
        x, y = box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"]
        above = page.evaluate("([x, y]) => document.elementFromPoint(x, y).dataset.of", [x, y])
        assert above == "image"  # nothing scrolls over it
    choose(page, "view", "attention")
    page.locator(".mmv-reading").last.scroll_into_view_if_needed()
    assert page.locator("canvas[data-of=image]").bounding_box()["y"] < 0


@in_a_browser
def test_the_field_that_is_pointed_at_is_drawn_at_once_and_all_others_soon(tiny, open_page):
    model, pictures, fragment = tiny
    page, layers = alive(open_page, fragment), list(model.layers())
    choose(page, "view", "fields")
    settled(page)
    page.evaluate("() => { let now = 0; performance.now = () => (now += 21); }")  # a slow machine
    move = """(layer) => {
        const row = (name) => document.querySelector(`section[data-layer='${name}']`);
        const canvas = row(layer).querySelector("canvas"), box = canvas.getBoundingClientRect();
        const [clientX, clientY] = [box.left + 0.9 * box.width, box.top + 0.1 * box.height];
        canvas.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY, bubbles: true }));
        return [layer, "stem"].map((name) => row(name).querySelector("[data-of=where]").innerText);
    }"""
    assert page.evaluate(move, layers[-1]) == ["row 0, column 6", "row 56, column 56"]
    settled(page)
    places = {name: text_of(page, name, "where") for name in layers}
    assert places["stem"] == "row 8, column 104"
    assert {places[name] for name in layers if name[0] == "4"} == {"row 0, column 6"}
    paths = trace(model, 224, 224, layers[-1], (0, 6))["pixels"]
    digits, power = f"{paths.max():.1e}".split("e+")
    assert text_of(page, layers[-1], "paths-says") == f"up to about {digits} * 10^{power} paths"
    taken = rollout(model, pictures, layers[-1], (0, 6))[0].flatten().sort(descending=True).values
    half = int(re.search(r"\d+", text_of(page, layers[-1], "rollout-says"))[0])
    known = (taken.cumsum(0) < 0.5 - 1e-9).sum() + 1
    assert abs(half - known) <= 0.001 * known  # the page's scores are rounded
    assert text_of(page, "stem", "exact-says") == "49 of 50176 pixels"
