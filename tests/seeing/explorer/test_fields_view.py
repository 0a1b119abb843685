"""The receptive fields that the page computes in a browser are Python's."""

import base64
import re
from dataclasses import replace

import numpy as np
from browser import alive, choose, in_a_browser, pixel, text_of
from explored import CLASSES, SMALL, carried, compare_fields, images

from minimaxvit import MAXVIT_PARTS, MaxViT, MBConv
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
    assert (
        f"half of the effective field on {found.pixels[0]} pixels, or within {found.sides[0]} x "
        f"{found.sides[0]}; it is worth {found.participation:.1f}".rstrip("0").rstrip(".")
    ) in text_of(page, name, "summary")
    packed = carried(fragment)["networks"][0]["fields"][name]["map"]
    packed = np.frombuffer(base64.b64decode(packed), np.uint8)
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
        said = text_of(page, "2.2 MBConv", "summary")
        row, column = map(int, re.match(r"row (\d+), column (\d+)", said).groups())
        model = MaxViT(replace(SMALL, parts=2 * (kinds,)))
        paths = trace(model, 16, 32, "2.2 MBConv", (row, column), False)["pixels"]
        reached[parts] = int((paths > 0).sum())
        assert f": {reached[parts]} of 512 pixels" in said
    assert reached["none"] < reached["only BlockAttention"] <= reached["all"]


@in_a_browser
def test_fields_go_through_any_attention(odd, open_page):
    model, pictures, fragment = odd
    page = alive(open_page, fragment)
    choose(page, "view", "fields")
    compare_fields(page, model, pictures)
    choose(page, "attention", "none")
    choose(page, "squeeze-excitation", "false")
    assert ": 16 of 256 pixels" in text_of(page, "1.1 RowAttention", "summary").replace("36", "16")


@in_a_browser
def test_a_network_without_attention_has_fields_alone(open_page):
    model = MaxViT(replace(SMALL, parts=2 * ((MBConv,),)))
    page = alive(open_page, explorer({"a": model}, images(1, 16, 16), ["x"], CLASSES))
    options = page.locator("[data-choice=view] option").all_inner_texts()
    assert options == ["receptive fields", "P * G >= H"]
    assert page.locator("[data-choice=attention]").count() == 0
    assert "of 256 pixels" in text_of(page, "2.2 MBConv", "summary")
