"""The explorer's page in headless Chromium: fixtures, and what a reader of the page does."""

import shutil

import pytest

from minimaxvit.seeing.explorer import explorer_page

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
in_a_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="needs a `chromium` on PATH to try the explorer in"
)


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, tmp_path):
    """Open HTML as a file with every request refused; at the end nothing may have gone wrong."""
    wrong, contexts = [], []

    def open_it(html, **options):
        (tmp_path / "page.html").write_text(html, encoding="utf-8")
        contexts.append(chromium.new_context(viewport={"width": 1000, "height": 1200}, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: wrong.append(request.url) if asked(request) else None)
        page.route(lambda url: not url.startswith(("file:", "data:")), lambda route: route.abort())
        page.goto((tmp_path / "page.html").as_uri())
        return page

    def asked(request):
        return not request.url.startswith("data:") and not request.url.endswith("page.html")

    yield open_it
    for context in contexts:
        context.close()
    assert wrong == []


def alive(open_page, fragment, **options):
    page = open_page(explorer_page(fragment, "Look"), **options)
    settled(page)
    return page


def settled(page):
    """Wait until every explorer has unpacked its data and drawn all that it shows."""
    waiting = page.locator(".mmv-explorer:not(.mmv-alive), [aria-busy=true]")
    waiting.first.wait_for(state="detached")


def choose(page, what, value):
    """Choose a word of a list, or press the button of that choice."""
    button = page.locator(f"[data-choice='{what}:{value}']")
    if button.count():
        button.first.click()
    else:
        page.select_option(f"[data-choice='{what}']", str(value))


def one_layer(page, layer):
    """Show a layer by itself in the view of attention."""
    choose(page, "layer", layer)
    if page.locator("[data-choice=layers]").count():
        choose(page, "layers", "false")


def hover(page, layer, query, size):
    """Point at the middle of a token of the picture. Returns where that is on the page."""
    canvas = page.locator(f"[data-layer='{layer}'] canvas[data-of=picture]")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = (
        (place + 0.5) * length / side
        for place, length, side in zip(
            query[::-1], (box["width"], box["height"]), size[::-1], strict=True
        )
    )
    page.mouse.move(box["x"] + x, box["y"] + y)
    return box["x"] + x, box["y"] + y


def text_of(page, layer, of):
    settled(page)
    return page.locator(f"[data-layer='{layer}'] [data-of='{of}']").inner_text()


def pixel(page, layer, of, x, y):
    """The color of a canvas at a fraction of its width and height."""
    settled(page)
    return pixel_of(page.locator(f"[data-layer='{layer}'] canvas[data-of={of}]").first, x, y)


def head_pixel(page, layer, head, x, y):
    """The same of the small picture of a head."""
    return pixel_of(page.locator(f"[data-choice='head:{layer}:{head}'] canvas"), x, y)


def pixel_of(canvas, x, y):
    read = """(canvas, [x, y]) => [...canvas.getContext("2d").getImageData(
        Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1).data].slice(0, 3)"""
    return canvas.evaluate(read, [x, y])


def color_of(fraction):
    """The color of the palette for a fraction of the largest value."""
    from matplotlib import colormaps

    return [round(255 * part) for part in colormaps["cividis"](round(255 * fraction))[:3]]


def colors_near(fraction):
    """Those of the palette that it may have: its own, and one on either side for rounding."""
    step = round(255 * float(fraction))
    return [color_of(each / 255) for each in (step - 1, step, step + 1) if 0 <= each <= 255]
