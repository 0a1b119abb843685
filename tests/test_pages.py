"""The real pages, as `make lessons` writes them, in Chromium: offline, narrow, light and dark.

Nothing is executed again: the pages show what the lessons hold.
"""

import importlib
import json
from pathlib import Path

import nbformat
import pytest
from browser import CHROMIUM

from minimaxvit import pretrained_record

ROOT = Path(__file__).parents[1]
NAMES = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
PAGES = ["index", *NAMES, "training"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs a `chromium` on PATH to open the pages"),
]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of the pages."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "run").mkdir()
    (folder / "run" / "record.json").write_text(json.dumps(pretrained_record("compact-shapes")))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "notebooks"))
        render = importlib.import_module("render")
        patch.setattr(render, "execute", lambda path: nbformat.read(path, as_version=4))
        render.main(["--run", str(folder / "run"), "--out", str(folder / "out")])
    return folder / "out"


@pytest.fixture(scope="module")
def opened(written, chromium):
    """Open a page by its name, on a narrow screen; no request may leave it."""
    contexts = []

    def open_it(name, scheme="light", width=400):
        viewport = {"width": width, "height": 800}
        contexts.append(chromium.new_context(viewport=viewport, color_scheme=scheme, offline=True))
        page, wrong = contexts[-1].new_page(), []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.goto((written / f"{name}.html").as_uri())
        assert wrong == []
        return page

    yield open_it
    for context in contexts:
        context.close()


def unfold(page):
    """Open what is folded, and wait until the page has heard of it."""
    page.evaluate(
        """async () => {
            for (const fold of document.querySelectorAll("main details")) fold.open = true;
            await new Promise(done => setTimeout(done, 50));
        }"""
    )


@pytest.mark.parametrize("name", PAGES)
def test_every_section_has_an_anchor_of_its_own(name, opened):
    page = opened(name)
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    assert len(set(ids)) == len(ids)
    links = page.evaluate("[...document.querySelectorAll('.side ol ol a')].map(link => link.hash)")
    headings = page.locator("main h2").all_inner_texts()
    assert len(links) == (len(headings) if name in NAMES else 0)


@pytest.mark.parametrize("name", PAGES)
def test_code_of_a_lesson_is_not_cut(name, opened):
    page = opened(name, width=1000)
    unfold(page)
    cut = page.evaluate(
        """[...document.querySelectorAll(".code_cell .highlight pre")]
        .filter(box => box.scrollWidth > box.clientWidth).map(box => box.innerText)"""
    )
    assert cut == []
    assert page.evaluate("document.documentElement.scrollWidth") == 1000


COLORS = "element => [getComputedStyle(element).color, getComputedStyle(element).backgroundColor]"


def luminance(color):
    """Relative luminance of a color as CSS writes it, as WCAG 2 defines it."""
    channels = [float(number) / 255 for number in color.strip("rgba()").split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(part * c for part, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_phone_in_both_schemes(name, opened):
    for scheme in ("light", "dark"):
        page = opened(name, scheme)
        ink, paper = map(luminance, page.locator("body").evaluate(COLORS))
        assert (paper > ink) == (scheme == "light")
        assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) > 7
        assert page.evaluate("document.documentElement.scrollWidth") <= 400


@pytest.mark.parametrize("name", PAGES)
def test_what_scrolls_is_reached_by_the_keyboard(name, opened):
    page = opened(name)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    unfold(page)
    boxes = page.evaluate(
        """[...document.querySelectorAll("pre, .output_html, .scroll, .formula, math, table")]
        .filter(box => box.scrollWidth > box.clientWidth).map(box => box.tabIndex)"""
    )
    assert set(boxes) <= {0}
    assert boxes or name in ("index", "training", "glossary")


def test_code_has_colors_of_its_own_in_the_dark(opened):
    light, dark = (
        opened(NAMES[1], scheme).locator(".highlight .k, .highlight .kn").first.evaluate(COLORS)
        for scheme in ("light", "dark")
    )
    assert light[0] != dark[0] and luminance(dark[0]) > luminance(light[0])
