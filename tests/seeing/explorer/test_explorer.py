"""The explorer as a whole: one piece of HTML that works wherever it is put."""

import re
from dataclasses import replace

import pytest
from browser import alive, choose, in_a_browser, text_of
from explored import CLASSES, NAMES, SMALL, images

from minimaxvit import MAXVIT_PARTS, MaxViT, maxvit
from minimaxvit.seeing.explorer import explorer


@in_a_browser
def test_what_changes_is_spoken(small, open_page):
    page = alive(open_page, small[2])
    spoken = page.locator("[aria-live=polite]")
    page.locator("canvas[data-of=picture]").focus()
    page.keyboard.press("ArrowLeft")
    assert spoken.inner_text().startswith("1.1 BlockAttention: query row 2, column 3;")
    choose(page, "view", "fields")
    page.locator("[data-layer='stem'] canvas[data-of=exact]").focus()
    page.keyboard.press("ArrowLeft")
    assert re.match(r"stem, row \d+, column \d+: 49 of 512 pixels", spoken.inner_text())
    choose(page, "view", "rule")
    page.click("text=I have guessed")
    assert "the framed token depends on" in spoken.inner_text()


@in_a_browser
def test_two_on_one_page_do_not_disturb_one_another(small, open_page):
    page = alive(open_page, small[2] + small[2])
    readings = page.locator(".mmv-reading")
    assert page.locator(".mmv-alive").count() == readings.count() == 2
    second = readings.nth(1).inner_text()
    page.locator("canvas[data-of=picture]").first.focus()
    page.keyboard.press("ArrowLeft")
    assert readings.nth(0).inner_text() != second == readings.nth(1).inner_text()


@in_a_browser
def test_it_fits_a_phone(open_page):
    model = maxvit("compact")
    fragment = explorer({"fresh": model}, images(1, 32, 32), ["noise"], [str(i) for i in range(10)])
    page = alive(open_page, fragment)
    page.set_viewport_size({"width": 400, "height": 800})
    choose(page, "layers", "true")
    for view in ("attention", "fields", "rule"):
        choose(page, "view", view)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400


@in_a_browser
def test_it_works_in_an_exported_notebook(small, open_page):
    nbformat = pytest.importorskip("nbformat")
    HTMLExporter = pytest.importorskip("nbconvert").HTMLExporter
    output = nbformat.v4.new_output("display_data", {"text/html": small[2]})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[output])])
    html, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    page = open_page(html)
    page.wait_for_selector(".mmv-alive")
    assert text_of(page, "1.1 BlockAttention", "sum") == "1.000"


def test_two_runs_give_the_same_bytes_and_networks_are_given_back_as_they_were(small):
    networks, pictures, fragment = small
    networks["two"].train()
    again = explorer(networks, pictures, NAMES, CLASSES)
    modes = networks["two"].training, networks["one"].training
    networks["two"].eval()  # as other tests want it
    assert again == fragment and modes == (True, False)


def test_networks_that_differ_are_refused():
    other = MaxViT(replace(SMALL, depths=(1,), dims=(32,), parts=(MAXVIT_PARTS,)))
    with pytest.raises(ValueError, match="'b' has a different configuration from 'a'"):
        explorer({"a": MaxViT(SMALL), "b": other}, images(1, 16, 16), ["x"], CLASSES)


def test_names_must_fit_the_pictures_and_pictures_the_network():
    with pytest.raises(ValueError, match="2 images need as many names, got 1"):
        explorer({"a": MaxViT(SMALL)}, images(2, 16, 16), ["x"], CLASSES)
    with pytest.raises(ValueError, match="'a' has 3 classes, but 2 are named"):
        explorer({"a": MaxViT(SMALL)}, images(1, 16, 16), ["x"], CLASSES[:2])
    with pytest.raises(ValueError, match="is not divisible by 2"):
        explorer({"a": MaxViT(SMALL)}, images(1, 20, 20), ["x"], CLASSES)
