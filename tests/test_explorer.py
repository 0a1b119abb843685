"""The explorer in a browser says what Python says, and without a script it still says something."""

import base64
import json
import re
import shutil
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from helpers import randomise

from minimaxvit import MAXVIT, MaxViT, MaxViTConfig, MBConv, maxvit
from minimaxvit.data import normalise
from minimaxvit.seeing import (
    effective_field,
    extent,
    measure_heads,
    middle,
    record_attention,
    trace,
)
from minimaxvit.seeing.explorer import explorer, explorer_page
from minimaxvit.seeing.field import layers
from minimaxvit.seeing.rollout import rollout

CHROMIUM = shutil.which("chromium")
in_a_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="needs a `chromium` on PATH to try the explorer in"
)
SMALL = MaxViTConfig((1, 2), (32, 64), 8, window=2, num_classes=3, parts=2 * (MAXVIT,))
CLASSES = ("circle", "square", "</script><b>")


def images(n, h, w):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (n, 3, h, w), generator=generator, dtype=torch.uint8)


@pytest.fixture(scope="module")
def small():
    """Two networks of one small configuration, pictures that are not square, and the explorer."""
    networks = {
        label: randomise(MaxViT(SMALL), seed).float() for seed, label in enumerate(("one", "two"))
    }
    pictures = images(2, 16, 32)
    return networks, pictures, explorer(networks, pictures, ["first", "second </script>"], CLASSES)


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
    page.wait_for_selector(".mmv-alive")
    return page


def choose(page, what, value):
    page.select_option(f"[data-choice='{what}']", str(value))


def hover(page, layer, query, size):
    """Point at the middle of a token of the picture."""
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


def told(page, layer, of):
    return page.locator(f"[data-layer='{layer}'] [data-of='{of}']").inner_text()


def rounded(model, pictures, index):
    """What attention to one picture is as the page carries it: scores in half precision."""
    with record_attention(model) as maps, torch.no_grad():
        model(normalise(pictures))  # all at once, as the page: a batch changes the last digits
    return {
        name: replace(
            each, content=each.content[[index]].half().double(), bias=each.bias.half().double()
        )
        for name, each in maps.items()
    }


@in_a_browser
@pytest.mark.parametrize("head", [-1, 1])
@pytest.mark.parametrize("network, picture", [("one", 0), ("two", 1)])
def test_what_is_read_is_what_python_says(small, open_page, network, picture, head):
    networks, pictures, fragment = small
    page = alive(open_page, fragment)
    choose(page, "picture", picture)
    choose(page, "weights", list(networks).index(network))
    maps = rounded(networks[network], pictures, picture)
    for layer in ("1.1 BlockAttention", "1.1 GridAttention", "2.2 GridAttention"):
        page.click(f"button:has-text('{layer}')")
        choose(page, "head", head if layer.startswith("2") or head < 1 else 0)
        attention, (h, w) = maps[layer], maps[layer].size
        for query in [(0, 0), (h - 1, 1), (h // 2, w - 1)]:
            hover(page, layer, query, (h, w))
            for terms in ("both", "content", "position"):
                choose(page, "terms", terms)
                weights = attention.weights(terms != "position", terms != "content")
                if int(page.input_value("[data-choice=head]")) >= 0:
                    weights = weights[:, int(page.input_value("[data-choice=head]"))][:, None]
                compare(page, layer, attention, weights.mean(1, keepdim=True), query)
            choose(page, "terms", "both")


def compare(page, layer, attention, weights, query):
    h, w = attention.size
    row = attention.row(query, weights)[0, 0]
    assert told(page, layer, "query").startswith(f"row {query[0]}, column {query[1]};")
    assert told(page, layer, "keys") == f"4 of {h * w}"
    shares = np.array(re.findall(r": ([\d.]+)", told(page, layer, "strongest")), dtype=float)
    assert np.abs(shares - row.flatten().topk(4).values.numpy()).max() <= 0.0005001
    best = divmod(row.argmax().item(), w)
    if shares[0] - shares[1] > 0.001:
        assert told(page, layer, "strongest").startswith(f"{best[0]}, {best[1]}: {row.max():.3f}")
    assert told(page, layer, "sum") == "1.000"
    bits = -torch.xlogy(row, row).sum() / np.log(2)
    near(told(page, layer, "entropy"), bits)
    (group, slot) = (attention.tokens == query[0] * w + query[1]).nonzero()[0]
    only = torch.zeros_like(weights)
    only[:, :, group, slot] = weights[:, :, group, slot] * attention.tokens.numel()
    near(told(page, layer, "distance"), measure_heads(attention, only).distance.item())


def near(text, number):
    assert abs(float(re.match(r"-?[\d.]+", text)[0]) - number) <= 0.0005001


@in_a_browser
def test_a_score_is_content_plus_bias_of_the_key_that_is_pointed_at(small, open_page):
    networks, pictures, fragment = small
    page, layer = alive(open_page, fragment), "1.1 GridAttention"
    page.click(f"button:has-text('{layer}')")
    choose(page, "head", 0)
    attention = rounded(networks["one"], pictures, 0)[layer]
    page.mouse.click(*hover(page, layer, (1, 2), (4, 8)))
    assert "(locked)" in told(page, layer, "query")
    group, slot = (attention.tokens == 1 * 8 + 2).nonzero()[0]
    for key, token in enumerate(attention.tokens[group].tolist()):
        hover(page, layer, divmod(token, 8), (4, 8))
        content, bias = attention.content[0, 0, group, slot, key], attention.bias[0, slot, key]
        said = re.findall(r"-?\d+\.\d+", told(page, layer, "score"))
        for number, known in zip(said, (content + bias, content, bias), strict=True):
            near(number, known)
        assert told(page, layer, "key").startswith(f"{token // 8}, {token % 8}: ")
        assert told(page, layer, "query").startswith("row 1, column 2;")


@in_a_browser
def test_keys_do_what_the_pointer_does(small, open_page):
    page, layer = alive(open_page, small[2]), "1.1 BlockAttention"
    hover(page, layer, (2, 3), (4, 8))
    by_pointer = page.locator(".mmv-reading").inner_text()
    page.mouse.move(1, 1)
    page.locator("canvas[data-of=picture]").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    assert told(page, layer, "query").startswith("row 1, column 2;")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.locator(".mmv-reading").inner_text() == by_pointer
    page.keyboard.press("Enter")
    assert "(locked)" in told(page, layer, "query")
    before = told(page, layer, "key")
    page.keyboard.press("Shift+ArrowRight")
    assert told(page, layer, "key") != before
    assert told(page, layer, "query").startswith("row 2, column 3;")
    page.keyboard.press("Escape")
    assert told(page, layer, "key") == before and "(locked)" not in told(page, layer, "query")
    for _ in range(9):  # at the edge it stays
        page.keyboard.press("ArrowRight")
    assert told(page, layer, "query").startswith("row 2, column 7;")


def pixel(page, layer, of, x, y):
    """The colour of a canvas at a share of its width and height."""
    canvas = page.locator(f"[data-layer='{layer}'] canvas[data-of={of}]").first
    read = """(canvas, [x, y]) => [...canvas.getContext("2d").getImageData(
        Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1).data].slice(0, 3)"""
    return canvas.evaluate(read, [x, y])


@in_a_browser
def test_a_key_has_the_colour_of_its_share(small, open_page):
    from matplotlib import colormaps

    networks, pictures, fragment = small
    page, layer = alive(open_page, fragment), "1.1 BlockAttention"
    attention = rounded(networks["one"], pictures, 0)[layer]
    hover(page, layer, (0, 0), (4, 8))
    row = attention.row((0, 0), attention.weights())[0].mean(0)
    for token in attention.tokens[0].tolist():
        share = row[token // 8, token % 8] / row.max()
        colour = [round(255 * part) for part in colormaps["cividis"](round(255 * share.item()))[:3]]
        place = (token % 8 + 0.5) / 8, (token // 8 + 0.5) / 4
        assert pixel(page, layer, "picture", *place) == colour
    head = attention.row((0, 0), attention.weights())[0]
    share = head[0, 1, 1] / head.max()  # on one scale among the heads
    colour = [round(255 * part) for part in colormaps["cividis"](round(255 * share.item()))[:3]]
    assert pixel(page, layer, "head", 1.5 / 8, 1.5 / 4) == colour


@in_a_browser
def test_matrix_and_bias_table_are_drawn_as_they_are(small, open_page):
    networks, pictures, fragment = small
    page, layer = alive(open_page, fragment), "1.1 GridAttention"
    page.click(f"button:has-text('{layer}')")
    choose(page, "head", 0)
    hover(page, layer, (1, 2), (4, 8))
    attention = rounded(networks["one"], pictures, 0)[layer]
    group = (attention.tokens == 1 * 8 + 2).nonzero()[0, 0]
    weights = attention.weights()[0, 0, group]  # (t, t)
    places = [divmod(slot, 2) for slot in range(4)]
    offsets = torch.full((3, 3), float("nan"), dtype=torch.float64)
    for (query, (a, b)), (key, (c, d)) in product(enumerate(places), repeat=2):
        offsets[c - a + 1, d - b + 1] = attention.bias[0, query, key]
    shares = {
        "matrix": weights / weights.max(),
        "table": (offsets - offsets.min()) / (offsets.max() - offsets.min()),
    }
    for canvas, share in shares.items():
        rows, columns = share.shape
        for row, column in product(range(rows), range(columns)):
            drawn = pixel(page, layer, canvas, (column + 0.5) / columns, (row + 0.5) / rows)
            assert drawn in colours(share[row, column])


def colours(share):
    """Those of the palette that a share may have: its own, and one either side for rounding."""
    from matplotlib import colormaps

    steps = range(round(255 * share.item()) - 1, round(255 * share.item()) + 2)
    inside = [step for step in steps if 0 <= step <= 255]
    return [[round(255 * part) for part in colormaps["cividis"](step)[:3]] for step in inside]


@in_a_browser
def test_what_is_attended_to_and_who_attends_are_row_and_column(small, open_page):
    networks, pictures, fragment = small
    page, layer = alive(open_page, fragment), "1.1 GridAttention"
    page.click(f"button:has-text('{layer}')")
    choose(page, "direction", "by")
    hover(page, layer, (3, 5), (4, 8))
    attention = rounded(networks["one"], pictures, 0)[layer]
    column = attention.lift(attention.weights())[0].mean(0)[:, 3 * 8 + 5]
    shares = [float(share) for share in re.findall(r": ([\d.]+)", told(page, layer, "strongest"))]
    known = column[column > 0].sort(descending=True).values
    assert np.abs(np.array(shares) - known.numpy()).max() <= 0.0005001


@in_a_browser
def test_every_field_reaches_what_python_reaches(small, open_page):
    networks, pictures, fragment = small
    page, model = alive(open_page, fragment), networks["one"]
    choose(page, "view", "fields")
    for excite in (True, False):
        choose(page, "squeeze-excitation", str(excite).lower())
        page.locator("[data-layer='1.1 MBConv'] canvas[data-of=exact]").focus()
        page.keyboard.press("ArrowLeft")
        for name in layers(model):
            said = told(page, name, "told")
            row, column = map(int, re.match(r"row (\d+), column (\d+)", said).groups())
            paths = trace(model, 16, 32, name, (row, column), excite)["pixels"]
            assert (
                f": {(paths > 0).sum()} of 512 pixels, by up to {int(paths.max()):,} path" in said
            )
            half = int(re.search(r"half of the rollout on (\d+)", said)[1])
            shares = rollout(model, pictures[:1], name, (row, column))[0].flatten()
            known = (shares.sort(descending=True).values.cumsum(0) < 0.5 - 1e-9).sum() + 1
            assert abs(half - known) <= 1  # the page's scores are rounded


def carried(fragment):
    return json.loads(re.search(r'application/json">(.*?)</script>', fragment)[1])


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
    ) in told(page, name, "told")
    packed = carried(fragment)["networks"][0]["fields"][name]["map"]
    packed = np.frombuffer(base64.b64decode(packed), np.uint8)
    steps = np.stack([packed % 16, packed // 16], 1).reshape(2, 4, 16, 32)[query]
    known = 15 * (field / field.max()).sqrt().numpy()
    assert np.abs(steps - known).max() <= 0.5001
    drawn = pixel(page, name, "effective", 31.5 / 32, 0.5 / 16)
    assert drawn != [255, 255, 255]


@in_a_browser
@pytest.mark.parametrize("first", ["2.1 GridAttention", "2.2 BlockAttention", "1.1 GridAttention"])
def test_block_stands_beside_the_grid_of_the_same_maxvit_block(small, open_page, first):
    page = alive(open_page, small[2])
    page.click(f"button:has-text('{first}')")
    assert page.evaluate("document.activeElement.dataset.choice") == first  # of the new button
    choose(page, "layers", "true")
    block = first.split()[0]
    assert page.locator(".mmv-panel h4").all_inner_texts() == [
        f"{block} BlockAttention",
        f"{block} GridAttention",
    ]


@in_a_browser
def test_a_click_locks_and_a_second_one_unlocks(small, open_page):
    page, layer = alive(open_page, small[2]), "1.1 BlockAttention"
    place = hover(page, layer, (1, 1), (4, 8))
    page.mouse.click(*place)
    assert "(locked)" in told(page, layer, "query")
    page.locator("canvas[data-of=matrix]").hover()  # asks nobody else
    assert told(page, layer, "query").startswith("row 1, column 1;")
    choose(page, "view", "fields")
    assert "(locked)" in told(page, layer, "told")
    choose(page, "view", "attention")
    page.mouse.click(*hover(page, layer, (1, 1), (4, 8)))
    assert "(locked)" not in told(page, layer, "query")


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
    assert "it has heard from" in spoken.inner_text()


@in_a_browser
def test_parts_can_be_left_out_of_a_field(small, open_page):
    page = alive(open_page, small[2])
    choose(page, "view", "fields")
    choose(page, "squeeze-excitation", "false")
    reached = {}
    for parts, kinds in {
        "both": MAXVIT,
        "block only": MAXVIT[:2],
        "grid only": (MAXVIT[0], MAXVIT[2]),
        "neither": (MBConv,),
    }.items():
        choose(page, "attention", parts)
        said = told(page, "2.2 MBConv", "told")
        row, column = map(int, re.match(r"row (\d+), column (\d+)", said).groups())
        model = MaxViT(MaxViTConfig((1, 2), (32, 64), 8, 2, 2 * (kinds,), num_classes=3))
        paths = trace(model, 16, 32, "2.2 MBConv", (row, column), False)["pixels"]
        reached[parts] = int((paths > 0).sum())
        assert f": {reached[parts]} of 512 pixels" in said
    assert reached["neither"] < reached["block only"] <= reached["both"]


@in_a_browser
@pytest.mark.parametrize(
    "side, window, grid, heard", [(16, 4, 4, 16), (32, 4, 4, 16), (24, 6, 2, 12)]
)
def test_the_rule_is_revealed_when_asked(small, open_page, side, window, grid, heard):
    page = alive(open_page, small[2])
    choose(page, "view", "rule")
    for name, place in (
        ("side", [4, 6, 8, 12, 16, 20, 24, 28, 32].index(side)),
        ("window", [i for i in range(1, side + 1) if side % i == 0].index(window)),
        ("grid", [i for i in range(1, side + 1) if side % i == 0].index(grid)),
    ):
        page.locator(f"[data-choice={name}]").fill(str(place))
    assert "heard" not in page.locator("[data-of=rule]").inner_text()
    page.click("text=I have guessed")
    assert page.locator("[data-of=rule]").inner_text().endswith(f"heard from {heard} of {side}.")


@in_a_browser
def test_two_on_one_page_do_not_disturb_one_another(small, open_page):
    page = alive(open_page, small[2] + small[2])
    readings = page.locator(".mmv-reading")
    assert page.locator(".mmv-alive").count() == readings.count() == 2
    still = readings.nth(1).inner_text()
    page.locator("canvas[data-of=picture]").first.focus()
    page.keyboard.press("ArrowLeft")
    assert readings.nth(0).inner_text() != still == readings.nth(1).inner_text()


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
def test_without_javascript_picture_sentence_and_table_are_there(small, open_page):
    page = open_page(explorer_page(small[2], "Look"), java_script_enabled=False)
    assert page.locator(".mmv-still img").is_visible()
    assert page.locator("details table tr").count() == 1 + 2  # a head in block and in grid
    assert "without JavaScript" in page.inner_text("body")


@in_a_browser
def test_it_works_in_an_exported_notebook(small, open_page):
    nbformat = pytest.importorskip("nbformat")
    HTMLExporter = pytest.importorskip("nbconvert").HTMLExporter
    output = nbformat.v4.new_output("display_data", {"text/html": small[2]})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[output])])
    html, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    page = open_page(html)
    page.wait_for_selector(".mmv-alive")
    assert told(page, "1.1 BlockAttention", "sum") == "1.000"


def test_as_an_untrusted_notebook_strips_it_the_numbers_remain(small):
    networks, pictures, fragment = small
    left = re.sub(r"<(script|iframe|svg|style).*?</\1>", "", fragment, flags=re.DOTALL)
    alt = re.search(r'<img alt="([^"]+)"', left)[1]
    with record_attention(networks["one"]) as maps, torch.no_grad():
        networks["one"](normalise(pictures[:1]))
    for name in ("1.1 BlockAttention", "1.1 GridAttention"):
        attention = maps[name]
        row = attention.row((2, 4), attention.weights())[0].mean(0)
        top = divmod(row.argmax().item(), 8)
        assert (
            f"{name} from row 2, column 4: 4 of 32 tokens, most ({row.max():.0%}) row {top[0]}, "
            f"column {top[1]}"
        ) in alt
        heads = measure_heads(attention, attention.weights())
        assert f"<td>{heads.entropy[0]:.2f}</td><td>{heads.distance[0]:.1f}</td>" in left
    assert "<table>" in left and "script" not in left


def test_two_runs_give_the_same_bytes_and_networks_are_given_back_as_they_were(small):
    networks, pictures, fragment = small
    networks["two"].train()
    names = ["first", "second </script>"]
    assert explorer(networks, pictures, names, CLASSES) == fragment
    assert networks["two"].training and not networks["one"].training


def test_of_compact_it_carries_less_than_a_megabyte():
    networks = {"trained": maxvit("compact"), "random": maxvit("compact")}
    names = [str(number) for number in range(10)]
    assert len(explorer(networks, images(4, 32, 32), names[:4], names)) < 1_000_000


def test_networks_that_differ_are_refused():
    other = MaxViT(MaxViTConfig((1,), (32,), 8, 2, (MAXVIT,), num_classes=3))
    with pytest.raises(ValueError, match="'b' are of another configuration than those of 'a'"):
        explorer({"a": MaxViT(SMALL), "b": other}, images(1, 16, 16), ["x"], CLASSES)


def test_sides_may_be_odd():
    model, classes = maxvit("compact").double(), [str(number) for number in range(10)]
    data = carried(explorer({"a": model}, images(1, 13, 16), ["odd"], classes))
    strides = [layer["stride"] for layer in data["layers"]]
    assert strides == [1, 2, 4, 4, 4, 8]


def test_a_filter_may_be_dead():
    model = randomise(MaxViT(SMALL))
    torch.nn.init.zeros_(layers(model)["1.1 MBConv"].depthwise.weight)
    data = carried(explorer({"a": model}, images(1, 16, 16), ["x"], CLASSES))
    (step,) = data["networks"][0]["steps"]["1.1 MBConv"]
    assert step["branches"][1][0]["kernel"] == 9 * [0.111111]


def test_names_must_fit_the_pictures_and_pictures_the_network():
    with pytest.raises(ValueError, match="2 pictures need as many names, got 1"):
        explorer({"a": MaxViT(SMALL)}, images(2, 16, 16), ["x"], CLASSES)
    with pytest.raises(ValueError, match="'a' tells 3 classes apart, but 2 are named"):
        explorer({"a": MaxViT(SMALL)}, images(1, 16, 16), ["x"], CLASSES[:2])
    with pytest.raises(ValueError, match="does not divide by window"):
        explorer({"a": MaxViT(SMALL)}, images(1, 20, 20), ["x"], CLASSES)
    with pytest.raises(ValueError, match="no attention to record"):
        config = MaxViTConfig((1,), (32,), 8, 2, ((MBConv,),), num_classes=3)
        explorer({"a": MaxViT(config)}, images(1, 16, 16), ["x"], CLASSES)
