"""The explorer as a whole: one piece of HTML that works wherever it is put."""

import re
from dataclasses import replace

import pytest
from browser import alive, choose, in_a_browser, one_layer, pixel_of, text_of
from explored import CLASSES, NAMES, SMALL, images

from minimaxvit import MAXVIT_PARTS, BlockAttention, MaxViT, MBConv, maxvit
from minimaxvit.seeing.explorer import explorer, explorer_page


@in_a_browser
def test_what_changes_is_spoken(small, open_page):
    page = alive(open_page, small[2])
    spoken = page.locator("[aria-live=polite]")
    page.locator("canvas[data-of=picture]").first.focus()
    page.keyboard.press("ArrowLeft")
    assert spoken.inner_text().startswith("1.1 BlockAttention: query row 2, column 3;")
    page.locator("canvas[data-of=picture]").nth(1).focus()
    page.keyboard.press("ArrowUp")
    assert spoken.inner_text().startswith("1.1 GridAttention: query row 1, column 3;")
    page.keyboard.press("ArrowDown")
    choose(page, "view", "overview")
    page.locator("canvas[data-of=image]").focus()
    page.keyboard.press("ArrowUp")
    assert re.match(
        r"1.1 BlockAttention: row 1, column 3; the largest attention", spoken.inner_text()
    )
    page.keyboard.press("ArrowDown")
    choose(page, "view", "attention")
    one_layer(page, "1.1 BlockAttention")
    page.locator("canvas[data-of=picture]").focus()
    page.keyboard.press("ArrowLeft")
    assert spoken.inner_text().startswith("1.1 BlockAttention: query row 2, column 2;")
    choose(page, "view", "fields")
    page.locator("[data-layer='stem'] canvas[data-of=exact]").focus()
    page.keyboard.press("ArrowLeft")
    assert re.match(r"stem, row \d+, column \d+, 49 of 512 pixels", spoken.inner_text())
    choose(page, "view", "rule")
    page.click("text=Show the answer")
    assert "the framed token depends on" in spoken.inner_text()


@in_a_browser
def test_two_on_one_page_do_not_disturb_one_another(small, open_page):
    page = alive(open_page, small[2] + small[2])
    readings = page.locator(".mmv-reading")
    assert page.locator(".mmv-alive").count() == 2 and readings.count() == 4  # block and grid
    second = readings.nth(2).inner_text()
    page.locator("canvas[data-of=picture]").first.focus()
    page.keyboard.press("ArrowLeft")
    assert readings.nth(0).inner_text() != second == readings.nth(2).inner_text()


@in_a_browser
def test_it_opens_on_block_beside_grid_and_says_what_to_do(small, open_page):
    page = alive(open_page, small[2])
    hint, pictures = page.locator(".mmv-hint"), page.locator("canvas[data-of=picture]")
    assert hint.is_visible() and hint.inner_text().startswith("Point at a patch")
    assert hint.inner_text().count(".") == 1  # one sentence
    block, grid = (each.bounding_box() for each in pictures.all())
    assert block["y"] == grid["y"] and block["x"] + block["width"] < grid["x"]
    assert hint.bounding_box()["y"] < block["y"]
    assert page.locator("canvas[data-of=image]").bounding_box()["y"] < block["y"]  # plain
    for layer in ("1.1 BlockAttention", "1.1 GridAttention"):
        kind = page.locator(f"[data-layer='{layer}'] .mmv-kind").inner_text()
        assert ("window" in kind) == ("Block" in layer) and ("spread" in kind) == ("Grid" in layer)


@in_a_browser
def test_controls_are_in_groups_and_only_what_is_looked_at_is_chosen_before_the_picture(
    small, open_page
):
    page = alive(open_page, small[2])
    where = """(control) => {
        const [image, picture] = ["image", "picture"].map((of) =>
            document.querySelector(`canvas[data-of=${of}]`));
        if (!(image.compareDocumentPosition(control) & 4)) return "before the image";
        if (!(picture.compareDocumentPosition(control) & 4)) return "before the picture";
        return control.closest("fieldset, .mmv-heads")?.className ?? "alone";
    }"""
    controls = page.locator(".mmv-body").locator("button, select, input").all()
    found = {control.get_attribute("data-choice"): control.evaluate(where) for control in controls}
    views = {f"view:{view}" for view in ("attention", "overview", "fields", "rule")}
    before = {
        of: {choice for choice, place in found.items() if place == f"before the {of}"}
        for of in ("image", "picture")
    }
    assert before["image"] == views and len(views) < len(found) / 2
    assert before["picture"] == {"image", "network", "unlock", "layer", "layers"}
    assert "alone" not in found.values()
    titles = page.locator("fieldset > legend").all_inner_texts()
    assert titles == ["What is computed", "How it is drawn"]


LONG = "a_name_of_80_characters_that_a_phone_gives_a_photo_without_a_space_at_allxxx.jpg"


@in_a_browser
@pytest.mark.parametrize("names", [[LONG], [LONG, "short"]], ids=["one", "two"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_with_any_name(open_page, names, scheme):
    model, classes = maxvit("compact"), [str(number) for number in range(10)]
    label = "a_label_of_a_network_that_is_longer_than_a_phone_is_wide_and_has_no_space"
    networks = {label: model} if len(names) == 1 else {label: model, "b": model}
    fragment = explorer(networks, images(len(names), 32, 32), names, classes)
    page = alive(open_page, fragment, color_scheme=scheme)
    page.set_viewport_size({"width": 400, "height": 800})
    assert len(names[0]) == 80 and names[0] in page.locator(".mmv-about").inner_text()
    for view in ("attention", "overview", "fields", "rule"):
        choose(page, "view", view)
        it_fits(page)
    choose(page, "view", "attention")
    one_layer(page, "3.1 BlockAttention")
    it_fits(page)


@in_a_browser
def test_it_fits_a_phone_without_javascript(open_page):
    model, classes = maxvit("compact"), [str(number) for number in range(10)]
    page = explorer_page(explorer({"a": model}, images(1, 32, 32), [LONG], classes), "Look")
    page = open_page(page, java_script_enabled=False)
    page.set_viewport_size({"width": 400, "height": 800})
    page.locator("summary").click()
    it_fits(page)


def it_fits(page):
    """Assert that nothing is wider than the page, nor than what it stands in."""
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    wide = """() => [...document.querySelectorAll(".mmv-body *:not(option)")].filter((each) => {
        const box = each.getBoundingClientRect();
        return each.getClientRects().length && (box.right > 400 - 8 || box.left < 8);
    }).map((each) => each.outerHTML.slice(0, 80))"""
    assert page.evaluate(wide) == []


@in_a_browser
def test_dark_and_light_have_text_that_can_be_read(small, open_page):
    for scheme, dark in {"light": False, "dark": True}.items():
        page = alive(open_page, small[2], color_scheme=scheme)
        for view in ("attention", "overview", "fields", "rule"):
            choose(page, "view", view)
            ground = luminance(page.locator(".mmv-explorer"), "backgroundColor")
            assert (ground < 0.5) == dark
            for of in ("p", "h4", "dd", "button", "legend", "figcaption"):
                for each in page.locator(f".mmv-body {of}:visible").all()[:4]:
                    under = ground if of != "button" else luminance(each, "backgroundColor")
                    light, low = sorted([under, luminance(each, "color")], reverse=True)
                    disabled = of == "button" and each.is_disabled()
                    assert disabled or (light + 0.05) / (low + 0.05) >= 4.5


def luminance(element, of):
    """Relative luminance of a color of an element, by the rules for contrast of the web."""
    color = element.evaluate(f"(element) => getComputedStyle(element).{of}")
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@in_a_browser
def test_it_says_what_the_network_can_answer(small, open_page):
    networks, pictures, _ = small
    page = alive(open_page, explorer(networks, pictures, NAMES, CLASSES, "SHAPES-3"))
    said = page.locator(".mmv-about").inner_text()
    assert "prediction: " in said
    assert (
        "Whatever the image shows, the network answers with one of three SHAPES-3 classes." in said
    )
    page.locator(".mmv-about summary").click()
    assert ", ".join(CLASSES) in page.locator(".mmv-about").inner_text()


@in_a_browser
def test_the_plain_image_moves_the_query_too(small, open_page):
    page, layer = alive(open_page, small[2]), "1.1 GridAttention"
    image = page.locator("canvas[data-of=image]")
    box = image.bounding_box()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.4 * box["height"])
    assert text_of(page, layer, "query").startswith("row 1, column 7;")
    below = [pixel_of(image, 7.5 / 8, 2 / 4 + part / 96) for part in range(5)]
    assert [0, 0, 0] in below and [255, 255, 255] in below  # the frame of that token
    image.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert re.match(r"row 2, column 7;.*\(locked\)", text_of(page, layer, "query"))
    page.mouse.move(box["x"] + 3, box["y"] + 3)
    assert text_of(page, layer, "query").startswith("row 2, column 7;")


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


LAB = """.jp-OutputArea-output dl { width: 100%; overflow: hidden; padding: 0; margin: 0; }
.jp-OutputArea-output dt { font-weight: bold; float: left; width: 20%; padding: 0; margin: 0; }
.jp-OutputArea-output dd { float: left; width: 80%; padding: 0; margin: 0; }
.jp-RenderedHTMLCommon ol:not(.list-inline) { padding-left: 2em; }"""


@in_a_browser
def test_the_style_of_jupyterlab_does_not_spoil_it(small, open_page):
    classes = "jp-OutputArea-output jp-RenderedHTMLCommon"
    page = open_page(f'<style>{LAB}</style><div class="{classes}">{small[2]}</div>')
    page.wait_for_selector(".mmv-alive")
    for term in page.locator("dt").all():
        assert term.bounding_box()["height"] < 60 and term.bounding_box()["width"] > 90


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


@in_a_browser
def test_a_layer_that_has_no_weights_says_why(open_page):
    class Mixing(MBConv):
        why_no_weights = "It mixes channels: there are no weights between tokens to show."

    for parts, view in (((Mixing, BlockAttention), "attention"), ((Mixing,), "fields")):
        model = MaxViT(replace(SMALL, depths=(1, 1), parts=2 * (parts,)))
        page = alive(open_page, explorer({"a": model}, images(1, 16, 16), ["x"], CLASSES))
        if view == "attention":
            said = page.locator("p.mmv-note", has_text="It mixes channels").all_inner_texts()
            assert said == [
                f"{stage}.1 Mixing cannot be chosen. {Mixing.why_no_weights}" for stage in (1, 2)
            ]
            choose(page, "view", "fields")
        assert text_of(page, "2.1 Mixing", "why") == Mixing.why_no_weights
        assert page.locator("[data-of=why]").count() == 2
