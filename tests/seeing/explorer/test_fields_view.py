"""The receptive fields that the page computes in a browser are Python's."""

import re
from dataclasses import replace

import numpy as np
from browser import alive, choose, in_a_browser, pixel, text_of
from explored import CLASSES, SMALL, carried, compare_fields, decoded, images

from minimaxvit import MAXVIT_PARTS, BlockAttention, MaxViT, MBConv, maxvit
from minimaxvit.seeing import effective_field, extent, middle, trace
from minimaxvit.seeing.explorer import explorer


@in_a_browser
def test_every_field_reaches_what_python_reaches(small, open_page):
    networks, pictures, fragment = small
    page, model = alive(open_page, fragment), networks["one"]
    choose(page, "view", "fields")
    for gates in (True, False):
        choose(page, "squeeze-excitation", str(gates).lower())
        page.locator("[data-layer='1.1 MBConv'] canvas[data-of=exact]").focus()
        page.keyboard.press("ArrowLeft")
        compare_fields(page, model, pictures[:1], gates)


@in_a_browser
def test_effective_fields_are_those_of_python(small, open_page):
    networks, pictures, fragment = small
    page, name, query = alive(open_page, fragment), "2.1 GridAttention", (0, 3)
    choose(page, "view", "fields")
    page.locator(f"[data-layer='{name}'] canvas[data-of=exact]").focus()
    for key in 4 * ["ArrowUp"] + 4 * ["ArrowRight"]:  # into the corner
        page.keyboard.press(key)
    field = effective_field(networks["one"], pictures, name, query)
    found = extent(field, middle(query, 8), (0.5,))
    said = text_of(page, name, "effective-says")
    assert said.startswith(f"half on {found.pixels[0]} pixels, or within ")
    worth = f"{found.participation:.1f}".removesuffix(".0")
    assert said.endswith(f"; worth {worth} equal pixels")
    packed = carried(fragment)["networks"][0]["fields"][name]["map"]
    packed = decoded(packed, np.uint8)
    steps = np.stack([packed % 16, packed // 16], 1).reshape(2, 4, 16, 32)[query]
    known = 15 * (field / field.max()).sqrt().numpy()
    assert np.abs(steps - known).max() <= 0.5001
    drawn = pixel(page, name, "effective", 31.5 / 32, 0.5 / 16)
    assert drawn != [255, 255, 255]


@in_a_browser
def test_parts_can_be_left_out_of_a_field(small, open_page):
    page = alive(open_page, small[2])
    choose(page, "view", "fields")
    choose(page, "squeeze-excitation", "false")
    reached = {}
    for parts, kinds in {
        "all": MAXVIT_PARTS,
        "only BlockAttention": MAXVIT_PARTS[:2],
        "only GridAttention": (MAXVIT_PARTS[0], MAXVIT_PARTS[2]),
        "none": (MBConv,),
    }.items():
        choose(page, "attention", parts)
        row, column = map(int, re.findall(r"\d+", text_of(page, "2.2 MBConv", "where")))
        model = MaxViT(replace(SMALL, parts=2 * (kinds,)))
        paths = trace(model, 16, 32, "2.2 MBConv", (row, column), False)["pixels"]
        reached[parts] = int((paths > 0).sum())
        assert text_of(page, "2.2 MBConv", "exact-says") == f"{reached[parts]} of 512 pixels"
    assert reached["none"] < reached["only BlockAttention"] <= reached["all"]


@in_a_browser
def test_fields_go_through_any_attention(odd, open_page):
    model, pictures, fragment = odd
    page = alive(open_page, fragment)
    choose(page, "view", "fields")
    compare_fields(page, model, pictures)
    choose(page, "attention", "none")
    choose(page, "squeeze-excitation", "false")
    assert text_of(page, "1.1 RowAttention", "exact-says") in (
        "16 of 256 pixels",
        "36 of 256 pixels",
    )


@in_a_browser
def test_a_network_without_attention_has_fields_alone(open_page):
    model = MaxViT(replace(SMALL, parts=2 * ((MBConv,),)))
    page = alive(open_page, explorer({"a": model}, images(1, 16, 16), ["x"], CLASSES))
    tabs = page.locator(".mmv-tabs button").all_inner_texts()
    assert tabs == ["Receptive fields", "P * G >= H"]
    assert page.locator("[data-choice=attention]").count() == 0
    assert "of 256 pixels" in text_of(page, "2.2 MBConv", "exact-says")


@in_a_browser
def test_maps_are_large_and_what_is_not_measured_says_so(open_page):
    model, classes = maxvit("compact"), [str(number) for number in range(10)]
    page = alive(open_page, explorer({"a": model}, images(1, 32, 32), ["noise"], classes))
    choose(page, "view", "fields")
    for layer in model.layers():
        row = page.locator(f"[data-layer='{layer}']")
        measured = int(layer[0] in "23")  # maps of at most 64 tokens
        assert row.locator("canvas[data-of=effective]").count() == measured
        said = text_of(page, layer, "effective-says")
        assert said.startswith(
            "half on " if measured else "not measured: 256 tokens on this map, and the limit is 64"
        )
        assert row.locator("figure").count() == 4 == row.locator("figcaption b").count()
        widths = [canvas.bounding_box()["width"] for canvas in row.locator("canvas").all()]
        assert len(widths) == 3 + measured and min(widths) >= 150


@in_a_browser
def test_a_square_that_is_larger_than_the_image_is_cut_off(small, open_page):
    networks, pictures, fragment = small
    page, stride = alive(open_page, fragment), 8
    choose(page, "view", "fields")
    cut = 0
    for name, query in [("2.1 GridAttention", (0, 3)), ("2.2 GridAttention", (1, 0))]:
        canvas = page.locator(f"[data-layer='{name}'] canvas[data-of=exact]")
        canvas.focus()
        for key in 4 * ["ArrowUp" if query[0] == 0 else "ArrowDown"] + 4 * [
            "ArrowRight" if query[1] else "ArrowLeft"
        ]:
            page.keyboard.press(key)
        field = effective_field(networks["one"], pictures, name, query)
        (side,) = extent(field, middle(query, stride), (0.5,)).sides
        within = [
            sum(abs(place - center) <= (side - 1) / 2 for place in range(length))
            for center, length in zip(middle(query, stride), (16, 32), strict=True)
        ]
        said = text_of(page, name, "effective-says")
        assert f"or within {within[0]} x {within[1]}" in said
        assert ("cut off at the border of the image" in said) == (within != [side, side])
        cut += within != [side, side]
    assert cut == 2


@in_a_browser
def test_the_focus_stays_where_a_choice_was_made(small, open_page):
    page = alive(open_page, small[2])
    choose(page, "view", "fields")
    page.locator("[data-choice=attention]").focus()
    choose(page, "attention", "none")
    assert page.evaluate("document.activeElement.dataset.choice") == "attention"


@in_a_browser
def test_notes_say_what_is_true_of_this_network(small, open_page):
    without = MaxViT(replace(SMALL, parts=2 * ((BlockAttention,),)))
    without = explorer({"a": without}, images(1, 16, 16), ["x"], CLASSES)
    for fragment, gates in ((small[2], True), (without, False)):
        page = alive(open_page, fragment)
        choose(page, "view", "fields")
        note = page.locator("ul.mmv-note").inner_text()
        has_gate = page.locator("[data-choice='squeeze-excitation']").count() == 1
        assert ("leaves out squeeze-excitation" in note) == has_gate
        assert has_gate == gates
        several = len(carried(fragment)["images"])
        assert (f"all {several} images" if several > 1 else "for this image") in note


@in_a_browser
def test_an_image_that_is_too_large_for_effective_fields_says_so(open_page):
    model = MaxViT(replace(SMALL, parts=2 * ((MBConv,),)))
    page = alive(open_page, explorer({"a": model}, images(1, 80, 64), ["x"], CLASSES))
    said = page.locator("ul.mmv-note").inner_text()
    assert "fields are not measured: 5,120 pixels in the image, and the limit is 4,096." in said
    assert "effective:" not in page.locator(".mmv-body").inner_text()
    assert page.locator("[data-layer='2.2 MBConv'] figure").count() == 3
