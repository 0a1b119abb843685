"""The rendered course: its pages work together offline, and a build that fails leaves no mess."""

import base64
import hashlib
import importlib
import io
import json
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browser import CHROMIUM
from PIL import Image

from minimaxvit.seeing.draw.history import describe_history

nbformat = pytest.importorskip("nbformat", reason="the lessons extra is not installed")
pytest.importorskip("nbconvert", reason="the lessons extra is not installed")
pytest.importorskip("latex2mathml", reason="the lessons extra is not installed")
BeautifulSoup = pytest.importorskip("bs4").BeautifulSoup

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"

ALT = 'Block 3 holds "12" pixels & no more'
ANSWER_ALT = "The answer is 7"
WIDTH = 84  # columns of code that a lesson may have
TEX = r"\frac{QK^\top}{\sqrt{d}} < 1"
LONG = " + ".join(f"x_{{{index}}}" for index in range(40))


@pytest.fixture(scope="module")
def render():
    """The script as a module; it is not part of the package, so its folder joins the path."""
    sys.path.insert(0, str(NOTEBOOKS))
    yield importlib.import_module("render")
    sys.path.remove(str(NOTEBOOKS))


def tiny_png():
    """A wide PNG by hand, so that the kernel need not import matplotlib."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    size = struct.pack(">IIBBBBB", 900, 2, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(900)) * 2)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def show(mime, data, metadata):
    return f"display({{{mime!r}: {data!r}}}, raw=True, metadata={{{mime!r}: {metadata!r}}})"


def write_lesson(path, *cells):
    """Save cells as a lesson: text for Markdown, (code, tags and what is hidden) for code."""
    made = []
    for cell in cells:
        if isinstance(cell, str):
            made.append(nbformat.v4.new_markdown_cell(cell))
        else:
            code, *said = cell
            made.append(nbformat.v4.new_code_cell(code))
            made[-1].metadata["tags"] = [each for each in said if "_hidden" not in each]
            made[-1].metadata["jupyter"] = {each: True for each in said if "_hidden" in each}
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)


def of_width(columns):
    """A line of code with this many columns."""
    return f"x = {'7' * (columns - 4)}"


def png(alt):
    return show("image/png", base64.b64encode(tiny_png()).decode(), {"alt": alt})


def write_course(folder):
    """Two lessons: pictures come after an answer, so that the first one is not the lesson's."""
    folder.mkdir()
    write_lesson(
        folder / "01-first.ipynb",
        "# What is a `block`?\n\n**Question.** Which pixels meet? Ten minutes.\n\n"
        "- **Time:** 20 minutes; the code runs in seconds.",
        "Read [the next](02-second.ipynb#more), [the code](../minimaxvit/block.py) and "
        "[the paper](https://arxiv.org/abs/2204.01697); it costs `$1 and $2`.",
        "| " + "wide | " * 40 + "\n|" + "---|" * 40,
        f"## Formulas and `code`\n\nIn the line ${TEX}$, by itself $$e^{{x}}$$ and long $${LONG}$$"
        f"\n\nand long in the line ${LONG}$.\n\n```\n$$no$$\n\n$no$\n```",
        (f"# a guess\n{of_width(WIDTH)}\n{png(ANSWER_ALT)}", "outputs_hidden"),
        (f"print('be', flush=True, end='')\nprint('fore')\n{png(ALT)}\nprint('0%\\rafter')",),
        (show("image/svg+xml", '<svg xmlns="http://www.w3.org/2000/svg"/>', {"alt": "An svg"}),),
        ("print('a long line ' * 40)  # " + "and a long comment " * 10,),
        (
            f"# solved\n{of_width(WIDTH)}\nprint('the answer')",
            *("solution", "source_hidden", "outputs_hidden"),
        ),
        ("print('short ' * 9)",),
    )
    write_lesson(
        folder / "02-second.ipynb",
        "# Second $x^2$\n\nWhat is $x^2$ for?\n\n## more",
        ("print(1 + 1)", "source_hidden"),
    )


EXPLORER = f"""<!DOCTYPE html>
<html lang="en"><head><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:">
<title>Look</title><style>:focus-visible {{ color: red }}</style></head>
<body>
<h1>Where it looks</h1><main><img src="data:," alt="{ANSWER_ALT}"></main></body></html>"""

BESIDE = """<!DOCTYPE html>
<html lang="en"><head><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; frame-src 'self'">
<title>Two</title></head><body><a href="#main">Skip</a><div class="page">
<main id="main"><h1>One beside another</h1>
<table><tr><th><a href="explore.html">One</a></th></tr>
<tr><th><a href="explore-other.html">Another</a></th></tr></table></main></div></body></html>"""


RECORD = {
    "command": "minimaxvit train --out runs/lessons",
    "config": {"depths": [1, 2], "window": 4},
    "recipe": {"lr": 0.002},
    "data": {"name": "cifar10", "source": "CIFAR-10 (JPEG)", "sha256": "9f" * 32, "train": 45000},
    "seed": 7,
    "versions": {"torch": "2.9.1"},
    "machine": {"device": "cpu"},
    "history": [
        {
            "epoch": epoch,
            "step": 10 * epoch,
            "loss": 2 / epoch,
            "train_accuracy": 0.9 - 0.5 / epoch,
            "val_accuracy": 0.8 - 0.4 / epoch,
            "seconds": 2.5 * epoch,
        }
        for epoch in (1, 2, 3, 4)
    ],
    "result": {"accuracy": 0.6954, "seconds": 125.0},
}


def write_run(folder, record=RECORD):
    folder.mkdir(exist_ok=True)
    (folder / "record.json").write_text(json.dumps(record))
    return folder


def hashes(folder):
    files = (
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def arguments(root, **changes):
    chosen = {"notebooks": root / "course", "run": root / "run", "out": root / "out", **changes}
    return [text for name, path in chosen.items() for text in (f"--{name}", str(path))]


@pytest.fixture(scope="module")
def built(render, tmp_path_factory):
    """A course rendered once, with the hashes of the lessons before and after."""
    root = tmp_path_factory.mktemp("render")
    write_course(root / "course")
    write_run(root / "run")
    for name, html in (("explore", EXPLORER), ("explore-other", EXPLORER), ("beside", BESIDE)):
        (root / "run" / f"{name}.html").write_text(html)
    before = hashes(root / "course"), hashes(NOTEBOOKS)
    pages = {"explorer": root / "run" / "explore.html"}
    pages["side-by-side"] = root / "run" / "beside.html"
    render.main(arguments(root, **pages))
    assert (hashes(root / "course"), hashes(NOTEBOOKS)) == before
    return root


@pytest.fixture(scope="module")
def pages(built):
    return {
        path.name: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in (built / "out").iterdir()
    }


def test_pages_are_there_and_nothing_else_is_left(built, pages):
    lessons = {"01-first.html", "02-second.html"}
    looks = {"explore.html", "explore-other.html", "beside.html"}
    assert set(pages) == {"index.html", "training.html", *looks, *lessons}
    assert {path.name for path in built.iterdir()} == {"course", "run", "out"}


def test_every_link_leads_to_a_page_and_an_anchor(pages):
    for name, page in pages.items():
        for link in page.select("a[href]"):
            target = urlsplit(link["href"])
            if not target.scheme:
                there = pages[target.path or name]
                assert not target.fragment or there.find(id=unquote(target.fragment)), link


def test_lessons_are_chained_and_the_index_describes_each(pages):
    first, second, index = pages["01-first.html"], pages["02-second.html"], pages["index.html"]
    assert first.find("a", rel="next")["href"] == "02-second.html"
    assert second.find("a", rel="prev")["href"] == "01-first.html"
    assert second.find("a", rel="next")["href"] == "training.html"
    listed = index.select("ol.lessons li")
    assert [item.a.get_text() for item in listed] == ["What is a block?", "Second x^2"]
    shown = [item.get_text() for item in listed]
    assert "Which pixels meet?" in shown[0] and "What is x^2 for?" in shown[1]
    assert re.search(r"20 minutes to read; the code ran in \d+(\.\d)? (s|min)", shown[0])
    assert "Ran in" in shown[1]
    assert [len(item.select("img")) for item in listed] == [1, 0]
    assert listed[0].img["alt"] == ALT, "an answer stands for the lesson"
    assert index.find("a", href="training.html")


def test_every_page_lists_the_course_and_its_own_sections(pages):
    titles = ["All lessons", "What is a block?", "Second x^2", "The training run"]
    for number, name in enumerate(("01-first.html", "02-second.html", "training.html"), start=1):
        (side,) = pages[name].select("nav[aria-label=Contents]")
        assert [item.a.get_text() for item in side.select("details > ol > li")] == titles
        (current,) = side.select("[aria-current=page]")
        assert current.get_text() == titles[number]
    first = pages["01-first.html"].select_one("nav [aria-current] ~ ol")
    assert [link["href"] for link in first.select("a")] == ["#Formulas-and-code"]
    assert first.a.code and first.a.get_text() == "Formulas and code"
    assert (
        pages["02-second.html"].select_one("nav [aria-current] ~ ol").get_text().strip() == "more"
    )


def test_the_next_lesson_stands_at_the_top_and_at_the_foot(pages):
    page = pages["01-first.html"]
    after = [bool(link.find_previous("main")) for link in page.select("[rel=next]")]
    assert after == [False, True]


def test_explorers_come_first_and_lead_back(pages):
    index = pages["index.html"]
    assert index.select_one("main a")["href"] == "explore.html"
    assert index.select_one("main li").get_text().strip() == "Where it looks"
    assert index.select_one("main img")["alt"] == ANSWER_ALT
    assert len(index.select(".cards li")) == 1  # the other one stands beside it
    for name in ("explore.html", "explore-other.html"):
        assert pages[name].body.a["href"] == "index.html"
        assert pages[name].body.a["target"] == "_top"  # out of a frame, too


def test_networks_side_by_side_are_linked_from_the_index_and_lead_back(pages):
    link = pages["index.html"].find("a", href="beside.html")
    assert link.get_text() == "One beside another"
    assert link.find_previous("h2").get_text() == "Look inside a network"
    assert pages["beside.html"].find("a", href="index.html").find_parent(class_="page")
    assert len(pages["beside.html"].select("a[href='index.html']")) == 1


def test_an_explorer_that_is_missing_stops_before_a_lesson_runs(render, tmp_path):
    write_run(tmp_path / "run")
    with pytest.raises(
        SystemExit, match="there is no .*none.html; make it with: minimaxvit explore"
    ):
        render.main(arguments(tmp_path, notebooks=NOTEBOOKS, explorer=tmp_path / "none.html"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["beside.html", "explore-other.html"])
def test_a_page_beside_that_is_missing_stops_before_a_lesson_runs(render, tmp_path, missing):
    write_run(tmp_path / "run")
    for name, html in (("explore", EXPLORER), ("explore-other", EXPLORER), ("beside", BESIDE)):
        (tmp_path / f"{name}.html").write_text(html)
    (tmp_path / missing).unlink()
    (tmp_path / "course").mkdir()
    write_lesson(tmp_path / "course" / "01-a.ipynb", "# One")
    beside = {"side-by-side": tmp_path / "beside.html"}
    said = f"there is no .*{missing}; make it with: python notebooks/side_by_side.py"
    with pytest.raises(SystemExit, match=said):
        render.main(arguments(tmp_path, **beside))
    assert not (tmp_path / "out").exists()


def test_links_out_of_the_course_become_text_or_stay(pages):
    first = pages["01-first.html"]
    assert "the code" in first.get_text() and not first.find("a", string="the code")
    assert first.find("a", href="https://arxiv.org/abs/2204.01697")


def test_pages_fetch_nothing(pages):
    for page in pages.values():
        for tag in page.select("[src], [srcset], [data], [poster], link"):
            for name in ("src", "srcset", "data", "poster"):
                assert tag.get(name, "data:").startswith("data:"), tag
            assert tag.name != "link" or tag["href"].startswith("data:"), tag
        for style in page.select("style"):
            assert "url(" not in style.text and "@import" not in style.text
        assert "default-src 'none'" in page.find("meta", attrs={"http-equiv": True})["content"]


def test_pages_suit_keyboard_and_screen_reader(pages):
    for name, page in pages.items():
        assert page.html["lang"] == "en"
        assert len(page.select("h1")) == len(page.select("main")) == 1
        assert page.body.find("a")["href"] == "#main" or name.startswith("explore")
        assert page.find("meta", attrs={"name": "viewport"})
        assert all(image["alt"] for image in page.select("img"))
    assert ":focus-visible" in pages["index.html"].style.text
    assert pages["01-first.html"].nav and pages["training.html"].nav


def test_alt_text_comes_from_the_output(pages):
    shown = [image["alt"] for image in pages["01-first.html"].select("img")]
    assert shown == [ANSWER_ALT, ALT, "An svg"]


def folds(page):
    """What each fold of a page says, and whether it holds code and output."""
    for fold in page.select("main details"):
        assert "open" not in fold.attrs
        yield fold.summary.text, bool(fold.select(".input")), bool(fold.select(".output"))


def test_answers_and_solutions_are_folded(pages):
    first = pages["01-first.html"]
    assert list(folds(first)) == [
        ("Show the answer", False, True),
        ("Show a solution", True, True),
    ]
    answer, solution = first.select("main details")
    assert answer.img["alt"] == ANSWER_ALT
    assert "# a guess" in answer.find_parent(class_="code_cell").select_one(".input").text
    assert "# solved" in solution.text and "the answer" in solution.select_one(".output").text
    assert list(folds(pages["02-second.html"])) == [("Show the code", True, False)]
    assert "2" in pages["02-second.html"].select_one(".output").text


def test_formulas_are_drawn_by_the_browser_itself(pages):
    main = pages["01-first.html"].main
    tex = [formula["alttext"] for formula in main.select("math")]
    assert tex == [TEX, "e^{x}", LONG, LONG]
    assert [formula["display"] for formula in main.select("math")][:2] == ["inline", "block"]
    assert [formula.math["alttext"] for formula in main.select(".formula")] == ["e^{x}", LONG]
    assert main.select_one("math mfrac msqrt").text == "d"
    assert main.select_one("math mfrac msup").text == "K⊤"
    code = main.select_one(".text_cell pre").text
    assert code == "$$no$$\n\n$no$\n" and "costs $1 and $2" in main.get_text()


def test_long_printed_lines_wrap_and_short_ones_stay(pages):
    printed = pages["01-first.html"].select(".output_text")
    assert ["sentence" in box["class"] for box in printed] == [False, False, True, False, False]


def test_what_is_printed_stays_before_or_after_its_figure(pages):
    image = pages["01-first.html"].find("img", alt=ALT)
    outputs = image.find_parent(class_="output").select(".output_area")
    assert [output.get_text().strip() for output in outputs] == ["before", "", "after"]
    assert outputs[1].img is image


def test_curve_has_the_numbers_of_the_record(render, pages):
    for name in ("index.html", "training.html"):
        alt = pages[name].select("img")[-1]["alt"]
        for number in ("2.000", "0.500", "40.0%", "77.5%", "70.0%", "7.5 points below training"):
            assert number in alt
    changed = [
        *RECORD["history"],
        {**RECORD["history"][0], "epoch": 5, "val_accuracy": 0.95},
    ]
    takeaway, alt = describe_history(changed, "shapes")
    assert takeaway == "shapes: validation accuracy ends at 95.0%, 55.0 points above training"
    assert takeaway in alt


def test_a_run_without_validation_has_a_curve_too(render):
    history = [{**row, "val_accuracy": None} for row in RECORD["history"]]
    curve = sys.modules["training_page"].draw_curve(history, "CIFAR-10 (JPEG)")
    assert "CIFAR-10 (JPEG): training accuracy ends at 77.5%; no images were held out" in curve
    assert "validation accuracy" not in curve


def test_training_page_shows_the_record(pages):
    text = pages["training.html"].get_text(" ", strip=True)
    for shown in (
        "CIFAR-10 (JPEG)",
        "accuracy 69.5%",
        "seconds 2 min 5 s",
        "seed 7",
        "depths 1, 2",
    ):
        assert shown in text
    assert "torch 2.9.1" in text and "lr 0.002" in text and RECORD["command"] in text


def test_a_failing_cell_is_named_and_earlier_pages_stay(built, tmp_path):
    course = tmp_path / "course"
    course.mkdir()
    write_lesson(course / "01-bad.ipynb", "# Bad", ("x = 1",), ("print(1 / 0)",), ("x = 2",))
    before = hashes(built / "out")
    command = [sys.executable, NOTEBOOKS / "render.py", *arguments(built, notebooks=course)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode != 0
    assert "01-bad.ipynb, cell 3 failed" in ended.stderr
    assert "print(1 / 0)" in ended.stderr and "ZeroDivisionError" in ended.stderr
    assert hashes(built / "out") == before
    assert {path.name for path in built.iterdir()} == {"course", "run", "out"}


@pytest.mark.parametrize(
    "record, said",
    [
        (None, "there is no"),
        ("{", "cut short"),
        ({"history": []}, "lacks loss"),
        ({**RECORD, "history": [{"epoch": 1, "loss": 2.0}]}, "lacks train_accuracy"),
        ({key: RECORD[key] for key in RECORD if key != "result"}, "lacks result"),
    ],
)
def test_a_run_that_is_missing_or_unfinished_says_what_to_do(render, tmp_path, record, said):
    if record is not None:
        write_run(tmp_path / "run", record)
    if record == "{":
        (tmp_path / "run" / "record.json").write_text(record)
    with pytest.raises(SystemExit, match=said) as stopped:
        render.main(arguments(tmp_path, notebooks=NOTEBOOKS))
    assert "minimaxvit train --out runs/lessons" in str(stopped.value)
    assert not (tmp_path / "out").exists()


def test_no_run_at_all_says_what_to_do(render):
    with pytest.raises(SystemExit, match="minimaxvit train --out runs/lessons"):
        render.main([])


def test_a_folder_that_it_did_not_make_is_left_alone(render, tmp_path):
    mine = write_run(tmp_path / "mine")
    with pytest.raises(SystemExit, match="was not made by this script"):
        render.main(arguments(tmp_path, run=mine, out=mine))
    assert (mine / "record.json").exists()


@pytest.mark.parametrize(
    "html, said",
    [
        ("", None),
        ('<img alt="a" src="https://example.org/a.png">', "cell 1: .*not part of the page"),
        ('<img alt="No description has been provided for this image" src="data:,">', "alt"),
        ("<h1>Two</h1>", "one first-level heading, not 2"),
    ],
)
def test_lessons_that_would_not_work_offline_are_refused(render, html, said):
    soup = BeautifulSoup(f'<div class="cell"><h1>One</h1>{html}</div>', "html.parser")
    if said is None:
        return render.refuse("a.ipynb", soup)
    with pytest.raises(SystemExit, match=said):
        render.refuse("a.ipynb", soup)


def test_a_formula_that_cannot_be_drawn_is_named(render, tmp_path, monkeypatch):
    write_lesson(tmp_path / "01-a.ipynb", "# One", ("1",), "then $x^2$ and $\\unheard{x}$")
    monkeypatch.setattr(render, "execute", lambda path: nbformat.read(path, as_version=4))
    with pytest.raises(SystemExit) as stopped:
        render.render(tmp_path / "01-a.ipynb", [])
    (said,) = str(stopped.value).splitlines()
    assert said.startswith(r"01-a.ipynb, cell 3: the TeX $\unheard{x}$ cannot be shown")


@pytest.mark.skipif(CHROMIUM is None, reason="needs a `chromium` on PATH to lay the pages out")
def test_text_fits_a_phone(pages, built, tmp_path):
    """Frames of 400 px, for a window of Chromium's cannot be that narrow."""
    report = "<script>onload = () => parent.postMessage(document.documentElement.scrollWidth, '*')"
    frames = ""
    ours = sorted(set(pages) - {"explore.html", "explore-other.html", "beside.html"})
    for name in ours:
        html = (built / "out" / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(html + report + "</script>", encoding="utf-8")
        frames += f'<iframe src="{name}" style="width:400px; height:800px; border:0"></iframe>'
    collect = "<script>onmessage = event => document.body.append(` width=${event.data} `)</script>"
    (tmp_path / "phone.html").write_text(f"<body>{collect}{frames}</body>")
    flags = (
        "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --dump-dom --virtual-time-budget=5000"
    )
    command = [CHROMIUM, *flags.split(), f"--user-data-dir={tmp_path / 'profile'}"]
    dumped = subprocess.run(
        [*command, (tmp_path / "phone.html").as_uri()], capture_output=True, text=True, timeout=60
    )
    dims = [int(width) for width in re.findall(r"width=(\d+) ", dumped.stdout)]
    assert len(dims) == len(ours), dumped.stderr
    assert max(dims) <= 400


in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs a `chromium` on PATH to look")


@pytest.fixture
def opened(built, chromium):
    """Open a page of the course in a window of some width."""
    contexts = []

    def open_it(name, width, **options):
        viewport = {"width": width, "height": 800}
        contexts.append(chromium.new_context(viewport=viewport, offline=True, **options))
        page = contexts[-1].new_page()
        page.goto((built / "out" / name).as_uri())
        return page

    yield open_it
    for context in contexts:
        context.close()


SCROLLED = """selector => [...document.querySelectorAll(selector)]
    .map(box => [box.scrollWidth - box.clientWidth, box.tabIndex])"""
WIDEST = "() => document.documentElement.scrollWidth"


def open_folds(page):
    for fold in page.locator("main details").all():
        fold.locator("summary").click()


@in_chromium
@pytest.mark.parametrize("width", [1000, 1200, 1400])
def test_code_of_84_columns_has_room(width, opened):
    page = opened("01-first.html", width)
    open_folds(page)
    right = "element => element.getBoundingClientRect().right"
    lines = page.locator(".highlight .mi", has_text=re.compile(f"^7{{{WIDTH - 4}}}$")).all()
    assert len(lines) == 2  # the second is inside a fold
    for line in lines:
        box = line.locator("xpath=ancestor::pre")
        assert line.evaluate(right) <= box.evaluate(right) - 8
    assert page.evaluate(WIDEST) == width


@in_chromium
def test_on_a_phone_code_and_formulas_scroll_by_themselves(opened):
    page = opened("01-first.html", 400)
    open_folds(page)
    page.locator("details pre[tabindex='0']").first.wait_for()
    for selector in (".code_cell:has(details) pre", ".formula:last-of-type", "p > math"):
        boxes = [box for box in page.evaluate(SCROLLED, selector) if box[0] > 0]
        assert boxes and {focus for _, focus in boxes} == {0}, selector
    assert page.evaluate(WIDEST) == 400


@in_chromium
def test_formulas_are_laid_out(opened):
    page = opened("01-first.html", 1000)
    height = "element => element.getBoundingClientRect().height"
    tall = page.locator("math mfrac").first.evaluate(height)
    assert tall > 1.5 * page.locator("math mfrac mi").first.evaluate(height)
    low, high = (
        page.locator(selector).first.evaluate("element => element.getBoundingClientRect().bottom")
        for selector in ("math msup > :first-child", "math msup > :last-child")
    )
    assert high < low


@in_chromium
def test_the_list_of_lessons_is_beside_the_text_where_there_is_room(opened):
    where = (
        "element => { const box = element.getBoundingClientRect(); return [box.left, box.right]; }"
    )
    page = opened("02-second.html", 1400)
    side, text = page.locator("nav.side"), page.locator("main")
    assert side.evaluate(where)[1] <= text.evaluate(where)[0]
    assert side.locator("[aria-current]").is_visible()
    page.evaluate("document.body.style.height = '5000px'; scrollTo(0, 2000)")
    assert side.locator("[aria-current]").evaluate("link => link.getBoundingClientRect().top") > 0
    page.set_viewport_size({"width": 400, "height": 800})
    page.locator(".side details:not([open])").wait_for()
    assert not side.locator("[aria-current]").is_visible()
    side.locator("summary").click()
    side.get_by_role("link", name="more").click()
    assert page.url.endswith("#more")


@in_chromium
@pytest.mark.parametrize("width", [400, 1400])
def test_folds_need_no_script(width, opened):
    page = opened("01-first.html", width, java_script_enabled=False)
    answer = page.get_by_alt_text(ANSWER_ALT)
    assert not answer.is_visible()
    page.get_by_text("Show the answer").click()
    assert answer.is_visible()
    page.get_by_text("Contents").click()
    assert page.get_by_role("link", name="The training run").first.is_visible()


@in_chromium
def test_in_the_dark_white_paper_is_dimmed_and_its_colors_stay_in_order(opened):
    """A gray ramp stays a ramp, and its white is gray."""
    ramp = """<img id="ramp" style="width: 300px; height: 20px" alt="" src="data:image/svg+xml,<svg
        xmlns='http://www.w3.org/2000/svg' viewBox='0 0 3 1' preserveAspectRatio='none'
        ><path d='M0 0h1v1H0z'/><path fill='%23808080' d='M1 0h1v1H1z'/></svg>">"""
    seen = {}
    for scheme in ("light", "dark"):
        page = opened("01-first.html", 1000, color_scheme=scheme)
        page.locator("main").evaluate("(main, html) => main.innerHTML = html", ramp)
        box = page.locator("#ramp").bounding_box()
        shot = page.screenshot(clip=box)
        seen[scheme] = gray_levels(shot)
    assert seen["light"] == [0, 128, 255]
    black, middle, white = seen["dark"]
    assert black == 0 and 90 < middle < 120 and 190 < white < 230
    assert abs(middle / white - 128 / 255) < 0.01


def gray_levels(shot):
    """The gray in the middle of each third of a picture."""
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    levels = [image.getpixel((image.width * part // 6, image.height // 2)) for part in (1, 3, 5)]
    assert all(len(set(level)) == 1 for level in levels), levels
    return [level[0] for level in levels]
