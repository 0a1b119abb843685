"""The page with two networks side by side: its facts, what its pictures show, and its explorers."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from browser import CHROMIUM, in_a_browser
from PIL import Image

from minimaxvit import CONFIGS, MaxViT, pretrained, pretrained_record
from minimaxvit.commands import for_images_of
from minimaxvit.seeing import photograph, reach
from minimaxvit.weights import save

pytest.importorskip("nbconvert", reason="the lessons extra is not installed")

ROOT = Path(__file__).parents[1]
NAMES = for_images_of(32)
DEPTHS = {  # as lesson 12 says, with the convolutions of each network between its attentions
    "compact": 3,
    "swin": 7,
    "vit": 1,
    "twins": 3,
    "axial": 3,
    "nat": 4,
    "coatnet": 1,
    "hybrid": 3,
    "visual_tokens": 3,
    "convnext": 5,
    "xcit": 8,
}
UNTRAINED = "Untrained. Its attention maps show initialization"


@pytest.fixture(scope="module")
def side_by_side():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "notebooks"))
        yield importlib.import_module("side_by_side")


@pytest.fixture(scope="module")
def networks(side_by_side):
    """What the page carries of every network; none but compact is trained."""
    accuracy = {"run": None, "source": "CIFAR-10 (JPEG)", "accuracy": 0.8988}
    weights = {name: accuracy if name == "compact" else None for name in NAMES}
    described = (side_by_side.describe(n, MaxViT(CONFIGS[n]), weights[n]) for n in NAMES)
    return {each["name"]: each for each in described}


@pytest.fixture(scope="module")
def written(side_by_side, networks, tmp_path_factory):
    """The page, and in place of each explorer one that only says whose it is."""
    folder = tmp_path_factory.mktemp("beside")
    for name, each in networks.items():
        (folder / each["page"]).write_text(f"<title>{name}</title><p>This explores {name}.</p>")
    return side_by_side.write_page(list(networks.values()), folder)


@pytest.fixture
def opened(chromium):
    """Open a page with its explorers, all of them files; at the end nothing may have gone wrong."""
    contexts, wrong = [], []

    def open_it(path, pair="", width=1000, scheme="light"):
        viewport = {"width": width, "height": 1000}
        contexts.append(chromium.new_context(viewport=viewport, color_scheme=scheme, offline=True))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("request", lambda sent: wrong.append(sent.url) if outside(sent.url, path) else None)
        page.goto(f"{path.as_uri()}{pair and '#'}{pair}")
        page.locator(".explorers .right").wait_for()
        return page

    def outside(url, path):
        return not url.startswith(("data:", "blob:", path.parent.as_uri()))

    yield open_it
    for context in contexts:
        context.close()
    assert wrong == []


def column(page, side, part):
    return page.locator(f".{part} .{side}")


def headings(page, side):
    """The name of the network in each part of a column."""
    parts = [("facts", "h2"), ("reaches", "h3"), ("explorers", "h3")]
    return [column(page, side, part).locator(of).inner_text().split(" (")[0] for part, of in parts]


# ---------------------------------------------------------------- what is computed


@pytest.mark.parametrize("name", DEPTHS)
def test_the_whole_map_is_seen_after_as_many_layers(name, networks):
    assert networks[name]["depth"] == len(networks[name]["layers"]) == DEPTHS[name]


def test_a_network_is_built_of_its_own_layers_for_a_map_of_16_x_16(side_by_side):
    compact, coatnet, mixer = (CONFIGS[name] for name in ("compact", "coatnet", "mixer"))
    layers = list(side_by_side.layers_of(compact, 0))
    assert [type(layer) for layer in layers] == list(compact.parts[0])
    assert layers[1].window == 4
    (attention,) = side_by_side.layers_of(coatnet, 1)
    (mixing,) = side_by_side.layers_of(mixer, 0)
    assert attention.window == mixing.window == 16  # the whole map, as in the network


def test_the_stage_is_the_first_that_sees_everything_in_the_fewest_layers(side_by_side):
    chosen = {name: side_by_side.choose_stage(CONFIGS[name]) for name in NAMES}
    assert {name: stage for name, stage in chosen.items() if stage} == {
        "coatnet": 1,
        "hybrid": 1,
        "visual_tokens": 2,
    }


def test_the_map_in_the_network_is_that_of_the_stage(networks):
    sides = {name: networks[name]["side"] for name in ("compact", "vit", "coatnet", "hybrid")}
    assert sides == {"compact": 16, "vit": 8, "coatnet": 8, "hybrid": 8}


def test_parameters_and_multiply_adds_are_those_of_the_summary(networks):
    assert networks["compact"]["parameters"] == 731_784
    for name in ("swin", "xcit"):
        model = MaxViT(CONFIGS[name])
        assert networks[name]["parameters"] == sum(each.numel() for each in model.parameters())
    assert networks["compact"]["macs"] == 30_177_152


def test_what_has_no_attention_says_why(networks):
    none = {name for name, each in networks.items() if not each["attends"]}
    assert none == {"mixer", "van", "convnext", "resnet", "bit", "convolutions"}
    why = {name: set(each["why"]) for name, each in networks.items() if each["why"]}
    assert why == {"mixer": {"MixerLayer"}, "van": {"LargeKernelAttention"}, "xcit": {"XCiTLayer"}}


def test_every_network_has_a_title_of_its_own(networks):
    titles = {each["title"] for each in networks.values()}
    assert len(titles) == len(NAMES) and not titles & set(NAMES)


# ---------------------------------------------------------------- weights


def write_run(folder, name="swin"):
    """A finished run of a network, trained on shapes or not at all."""
    folder.mkdir(parents=True)
    model = MaxViT(replace(CONFIGS[name], num_classes=10))
    save(model.eval(), folder / "model.safetensors")
    record = pretrained_record("compact-shapes")
    record["result"]["accuracy"] = 0.4321
    (folder / "record.json").write_text(json.dumps(record))
    return model


@pytest.fixture
def image(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photograph()).save("photograph.png")
    return Path("photograph.png")


def test_a_run_is_found_where_train_puts_it_and_only_if_it_is_finished(
    side_by_side, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert side_by_side.find_trained("swin") is None
    (tmp_path / "runs" / "swin-shapes").mkdir(parents=True)
    assert side_by_side.find_trained("swin") is None  # not finished
    (tmp_path / "runs" / "swin-shapes" / "record.json").touch()
    assert side_by_side.find_trained("swin") == "runs/swin-shapes"
    (tmp_path / "runs" / "swin-cifar10").mkdir()
    (tmp_path / "runs" / "swin-cifar10" / "record.json").touch()
    assert side_by_side.find_trained("swin") == "runs/swin-cifar10"
    assert side_by_side.find_trained("compact") == "compact"


def test_a_run_of_your_own_is_shown_with_its_weights(side_by_side, image, tmp_path):
    write_run(Path("runs/swin-shapes"))
    made = side_by_side.make("swin", image, tmp_path, [])
    known = {"run": "runs/swin-shapes", "source": "shapes", "accuracy": 0.4321}
    assert made["weights"] == known
    assert "What the network in runs/swin-shapes" in (tmp_path / "explore-swin.html").read_text()


def test_what_is_made_already_is_left_alone(side_by_side, image, tmp_path):
    made = side_by_side.make("compact", image, tmp_path, ["compact", "compact-shapes"])
    assert made["weights"]["run"] is None
    accuracy = pretrained_record("compact")["result"]["accuracy"]
    assert made["weights"]["accuracy"] == accuracy
    assert not (tmp_path / "explore-compact.html").exists()


def test_an_untrained_network_has_statistics_and_is_the_same_each_time(side_by_side):
    first, second = (side_by_side.untrained(CONFIGS["compact"]).state_dict() for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert first["stem.norm.running_mean"].abs().max() > 0
    trained = pretrained("compact").state_dict()
    assert not torch.equal(first["head.classify.weight"], trained["head.classify.weight"])


# ---------------------------------------------------------------- the page in a browser


CELLS = """(box) => [...box.querySelectorAll("canvas")].map((canvas) => {
    const side = canvas.width / 16, context = canvas.getContext("2d");
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    const style = getComputedStyle(canvas), known = {};
    for (const kind of ["unseen", "before", "new"]) {
        const hex = style.getPropertyValue(`--${kind}`).slice(1);
        known[[0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16))] = kind;
    }
    return Array.from({ length: 256 }, (_, i) => {
        const [x, y] = [(i % 16 + 0.5) * side - 1, (Math.floor(i / 16) + 0.5) * side - 1];
        const at = 4 * (Math.floor(y) * canvas.width + Math.floor(x));
        return known[[...pixels.slice(at, at + 3)]] ?? "a color of no meaning";
    });
})"""


def cells(page, side):
    return column(page, side, "reaches").locator(".pictures").evaluate(CELLS)


def known_cells(side_by_side, name, row, column):
    """The same of `reach`, layer by layer."""
    config, known = CONFIGS[name], []
    layers = DEPTHS.get(name, 16) * list(
        side_by_side.layers_of(config, side_by_side.choose_stage(config))
    )
    before = reach([], 16, 16)
    while not before.all():
        now = reach(layers[: len(known) + 1], 16, 16, gates=False)
        kinds = zip(
            now[row, column].flatten().tolist(), before[row, column].flatten().tolist(), strict=True
        )
        known.append(["before" if old else "new" if seen else "unseen" for seen, old in kinds])
        before = now
    return known


def click(page, side, row, column_):
    canvas = column(page, side, "reaches").locator("canvas").first
    canvas.scroll_into_view_if_needed()
    size = canvas.bounding_box()["width"] / 16
    canvas.click(position={"x": (column_ + 0.5) * size, "y": (row + 0.5) * size})


@in_a_browser
def test_cells_are_those_of_reach_for_every_network(side_by_side, written, opened):
    page = opened(written)
    click(page, "left", 4, 6)
    for name in NAMES:
        page.select_option("#left", name)
        page.locator(f"iframe[src='explore-{name}.html']").first.wait_for(state="attached")
        assert cells(page, "left") == known_cells(side_by_side, name, 4, 6), name


@in_a_browser
def test_it_opens_with_maxvit_beside_swin_from_a_corner(side_by_side, written, opened):
    page = opened(written)
    assert headings(page, "left") == 3 * ["MaxViT"] and headings(page, "right") == 3 * ["Swin"]
    for side, name in (("left", "compact"), ("right", "swin")):
        assert cells(page, side) == known_cells(side_by_side, name, 0, 0)
    captions = column(page, "left", "reaches").locator("figcaption").all_inner_texts()
    assert captions == [
        "1. MBConv\n4 of 256",
        "2. BlockAttention\n25 of 256",
        "3. GridAttention\n256 of 256",
    ]


@in_a_browser
def test_a_list_changes_its_own_column_in_all_parts(written, opened):
    page = opened(written)
    page.locator("iframe[title='Explore MaxViT']").evaluate("(frame) => (frame.kept = true)")
    page.select_option("#right", "mixer")
    page.locator("iframe[src='explore-mixer.html']").wait_for(state="attached")
    assert headings(page, "left") == 3 * ["MaxViT"]
    assert headings(page, "right") == 3 * ["MLP-Mixer"]
    assert column(page, "left", "explorers").locator("iframe").evaluate("(frame) => frame.kept")
    frame = page.frame_locator("iframe[src='explore-mixer.html']")
    column(page, "right", "explorers").scroll_into_view_if_needed()
    assert frame.locator("p").inner_text() == "This explores mixer."


@in_a_browser
def test_the_address_names_the_pair_and_restores_it(written, opened):
    page = opened(written)
    page.select_option("#left", "nat")
    page.select_option("#right", "visual_tokens")
    page.locator("iframe[src='explore-visual_tokens.html']").wait_for(state="attached")
    assert page.url.endswith("#nat+visual_tokens")
    other = opened(written, "nat+visual_tokens")
    lists = [other.locator(f"#{side}").input_value() for side in ("left", "right")]
    assert lists == ["nat", "visual_tokens"]
    assert headings(other, "left") == 3 * ["NAT"]
    assert headings(other, "right") == 3 * ["Visual tokens"]
    page.go_back()
    page.locator("iframe[src='explore-swin.html']").wait_for(state="attached")
    assert headings(page, "left") == 3 * ["NAT"] and headings(page, "right") == 3 * ["Swin"]


@in_a_browser
@pytest.mark.parametrize("pair", ["nobody+nothing", "+", "compact", "%"])
def test_an_address_that_names_nobody_is_maxvit_beside_swin(pair, written, opened):
    page = opened(written, pair)
    assert headings(page, "left") == 3 * ["MaxViT"] and headings(page, "right") == 3 * ["Swin"]


@in_a_browser
def test_the_same_network_may_stand_beside_itself(written, opened):
    page = opened(written, "swin+swin")
    assert headings(page, "left") == headings(page, "right") == 3 * ["Swin"]
    assert cells(page, "left") == cells(page, "right")


@in_a_browser
@pytest.mark.parametrize("side", ["left", "right"])
def test_both_columns_follow_a_click_in_either(side, side_by_side, written, opened):
    page = opened(written, "compact+pvt")
    click(page, side, 12, 3)
    for each, name in (("left", "compact"), ("right", "pvt")):
        assert cells(page, each) == known_cells(side_by_side, name, 12, 3)
    spoken = page.locator(".spoken").text_content()
    assert spoken == "Row 12, column 3: MaxViT sees 9, 25, 256; PVT sees 9, 256 of 256"


@in_a_browser
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_keyboard_moves_the_token_in_both_columns_and_stops_at_edges(
    side, side_by_side, written, opened
):
    page = opened(written)
    page.locator("#right").focus()
    page.keyboard.press("Tab")  # what the layers are
    for _ in range(1 if side == "left" else 2):
        page.keyboard.press("Tab")
    focused = "document.activeElement.closest('.reaches [class]').parentElement.className"
    assert page.evaluate(focused) == side
    scrolled = page.evaluate("scrollY")
    for key in ("ArrowUp", "ArrowLeft", "ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    page.wait_for_timeout(300)
    assert page.evaluate("scrollY") == scrolled
    for each, name in (("left", "compact"), ("right", "swin")):
        assert cells(page, each) == known_cells(side_by_side, name, 1, 2)
    assert page.evaluate(focused) == side
    for key in 20 * ["ArrowDown"] + 20 * ["ArrowRight"]:
        page.keyboard.press(key)
    assert page.locator(".spoken").text_content().startswith("Row 15, column 15: MaxViT sees 4,")


@in_a_browser
def test_a_list_is_chosen_from_by_the_keyboard_and_keeps_the_focus(written, opened):
    page = opened(written)
    page.locator("#right").focus()
    page.keyboard.press("T")
    page.locator("iframe[src='explore-t2t.html']").wait_for(state="attached")
    assert headings(page, "right") == 3 * ["T2T-ViT"]
    assert page.evaluate("document.activeElement.id") == "right"


@in_a_browser
def test_a_column_says_what_its_network_is(written, opened):
    page = opened(written, "compact+van")
    left, right = (column(page, side, "facts").inner_text() for side in ("left", "right"))
    assert "731,784 parameters; 30.2 million multiply-adds" in left
    assert "sees the whole map of 16 x 16 after 3 layers" in left and "attends" not in left
    assert "what comes with the package, which classifies 89.9% of the test images" in left
    assert "No layer attends. LargeKernelAttention: It multiplies each token" in right
    page.select_option("#left", "vit")
    page.select_option("#right", "resnet")
    page.locator("iframe[src='explore-resnet.html']").wait_for(state="attached")
    assert "16 x 16 after 1 layer." in column(page, "left", "facts").inner_text()
    assert "No layer attends. Each reads a fixed" in column(page, "right", "facts").inner_text()


@in_a_browser
def test_what_is_untrained_says_so_in_its_column_and_how_to_train_it(written, opened):
    page = opened(written)
    for part in ("facts", "explorers"):
        assert "Untrained" not in column(page, "left", part).inner_text()
        told = column(page, "right", part).inner_text()
        assert UNTRAINED in told and "minimaxvit train --network swin" in told
    rows = page.locator("table tr").all_inner_texts()[1:]
    assert [row.split()[-1] for row in rows] == ["trained"] + (len(NAMES) - 1) * ["untrained"]


@in_a_browser
def test_a_run_of_your_own_is_named_in_its_column(side_by_side, networks, tmp_path, opened):
    weights = {"run": "runs/swin-shapes", "source": "shapes", "accuracy": 0.4321}
    own = [networks["compact"], networks["swin"] | {"weights": weights}]
    for each in own:
        (tmp_path / each["page"]).write_text("<p>")
    page = opened(side_by_side.write_page(own, tmp_path))
    told = column(page, "right", "facts").inner_text()
    assert "Trained on shapes: your run in runs/swin-shapes, which classifies 43.2% of" in told
    assert "Untrained" not in page.locator("main").inner_text()


PAPER = "element => getComputedStyle(element).backgroundColor"
WIDE = """() => [...document.querySelectorAll("main *:not(option, .scroll *)")].filter((each) => {
    const box = each.getBoundingClientRect();
    return each.getClientRects().length && (box.right > innerWidth || box.left < 0);
}).map((each) => each.outerHTML.slice(0, 80))"""


@in_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1000])
def test_nothing_overflows_in_either_scheme(scheme, width, written, opened):
    for pair in ("compact+swin", "visual_tokens+mixer", "pvt+xcit"):
        page = opened(written, pair, width, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(WIDE) == []
        for part in ("facts", "reaches", "explorers"):
            left, right = (column(page, side, part).bounding_box() for side in ("left", "right"))
            below = right["y"] >= left["y"] + left["height"]
            assert below == (width == 400)
            assert (right["x"] >= left["x"] + left["width"]) == (width == 1000)
    white = page.locator("body").evaluate(PAPER) == "rgb(255, 255, 255)"
    assert white == (scheme == "light")


@in_a_browser
def test_the_three_kinds_of_cells_differ_in_lightness_in_either_scheme(written, opened):
    ask = """["unseen", "before", "new"].map((kind) => {
        const hex = getComputedStyle(document.body).getPropertyValue(`--${kind}`).slice(1);
        return [0, 2, 4].reduce((sum, i) => sum + parseInt(hex.slice(i, i + 2), 16), 0);
    })"""
    light, dark = (opened(written, scheme=each).evaluate(ask) for each in ("light", "dark"))
    assert light == sorted(light, reverse=True) and dark == sorted(dark)
    for each in (light, dark):
        assert min(abs(each[0] - each[1]), abs(each[1] - each[2])) > 150


@in_a_browser
def test_pictures_follow_a_change_of_the_scheme(side_by_side, written, opened):
    page = opened(written)
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(50)
    assert cells(page, "left") == known_cells(side_by_side, "compact", 0, 0)


@pytest.mark.skipif(CHROMIUM is None, reason="needs a `chromium` on PATH")
def test_without_javascript_a_table_leads_to_every_explorer(written, chromium, networks):
    context = chromium.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(written.as_uri())
    assert "needs JavaScript" in page.locator("main").inner_text()
    assert not page.locator("#left").is_visible() and not page.locator(".beside").is_visible()
    links = [link.get_attribute("href") for link in page.locator("table a").all()]
    assert links == [each["page"] for each in networks.values()]
    page.locator("table a", has_text="Swin").click()
    assert page.locator("p").inner_text() == "This explores swin."
    context.close()


@in_a_browser
def test_real_explorers_live_in_their_frames_at_their_full_height(
    side_by_side, image, tmp_path, opened
):
    both = [side_by_side.make(name, image, tmp_path, []) for name in ("compact", "convolutions")]
    page = opened(side_by_side.write_page(both, tmp_path), width=400)
    for side, title in (("left", "MaxViT"), ("right", "Convolutions only")):
        frame = column(page, side, "explorers").locator("iframe")
        frame.scroll_into_view_if_needed()
        inside = frame.content_frame
        inside.locator(".mmv-alive").wait_for()
        explores = "compact network" if side == "left" else f"untrained {title}"
        assert explores in inside.locator("h1").inner_text()
        assert "photograph.png" in inside.locator(".mmv-about").inner_text()
        size = "[document.documentElement.offsetHeight, document.documentElement.scrollWidth]"
        page.wait_for_function(
            "(frame) => frame.style.height", arg=frame.element_handle(), timeout=5000
        )
        page.wait_for_timeout(300)
        tall, wide = inside.locator("body").evaluate(f"() => {size}")
        shown = frame.bounding_box()
        assert tall <= shown["height"] <= tall + 40
        assert wide <= shown["width"] <= 400
