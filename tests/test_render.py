"""The rendered course: its pages work together offline, and a build that fails leaves no mess."""

import base64
import hashlib
import importlib
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

from minimaxvit.seeing.draw.history import describe_history

nbformat = pytest.importorskip("nbformat", reason="the lessons extra is not installed")
pytest.importorskip("nbconvert", reason="the lessons extra is not installed")
BeautifulSoup = pytest.importorskip("bs4").BeautifulSoup

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"

ALT = 'Block 3 holds "12" pixels & no more'


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
    """Save cells as a lesson: text for Markdown, (code, tag) or (code,) for code."""
    made = []
    for cell in cells:
        if isinstance(cell, str):
            made.append(nbformat.v4.new_markdown_cell(cell))
        else:
            made.append(nbformat.v4.new_code_cell(cell[0]))
            made[-1].metadata["tags"] = list(cell[1:])
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)


def write_course(folder):
    folder.mkdir()
    write_lesson(
        folder / "01-first.ipynb",
        "# What is a `block`?\n\n**Question.** Which pixels meet? Ten minutes.\n\n"
        "- **Time:** 20 minutes; the code runs in seconds.",
        "Read [the next](02-second.ipynb#more), [the code](../minimaxvit/block.py) and "
        "[the paper](https://arxiv.org/abs/2204.01697); it costs `$1 and $2`.",
        "| " + "wide | " * 40 + "\n|" + "---|" * 40,
        (show("image/png", base64.b64encode(tiny_png()).decode(), {"alt": ALT}),),
        (show("image/svg+xml", '<svg xmlns="http://www.w3.org/2000/svg"/>', {"alt": "An svg"}),),
        ("print('a long line ' * 40)  # " + "and a long comment " * 10,),
        ("print('the answer')", "solution"),
        ("print('short ' * 9)",),
    )
    write_lesson(folder / "02-second.ipynb", "# Second\n\nNo question.\n\n## more", ("1 + 1",))
    hidden = nbformat.read(folder / "02-second.ipynb", as_version=4)
    hidden.cells[1].metadata["jupyter"] = {"source_hidden": True}
    nbformat.write(hidden, folder / "02-second.ipynb")


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
    before = hashes(root / "course"), hashes(NOTEBOOKS)
    render.main(arguments(root))
    assert (hashes(root / "course"), hashes(NOTEBOOKS)) == before
    return root


@pytest.fixture(scope="module")
def pages(built):
    return {
        path.name: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in (built / "out").iterdir()
    }


def test_pages_are_there_and_nothing_else_is_left(built, pages):
    assert set(pages) == {"index.html", "01-first.html", "02-second.html", "training.html"}
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
    assert [item.a.get_text() for item in index.select(".lessons li")] == [
        "What is a block?",
        "Second",
    ]
    shown = index.select_one(".lessons li").get_text()
    assert "Which pixels meet?" in shown
    assert re.search(r"20 minutes to read; the code ran in \d+(\.\d)? (s|min)", shown)
    assert "Ran in" in index.select(".lessons li")[1].get_text()
    assert [len(item.select("img")) for item in index.select(".lessons li")] == [1, 0]
    assert index.select_one(".lessons img")["alt"] == ALT
    assert index.find("a", href="training.html")


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
    for page in pages.values():
        assert page.html["lang"] == "en"
        assert len(page.select("h1")) == len(page.select("main")) == 1
        assert page.body.find("a")["href"] == "#main"
        assert page.find("meta", attrs={"name": "viewport"})
        assert all(image["alt"] for image in page.select("img"))
    assert ":focus-visible" in pages["index.html"].style.text
    assert pages["01-first.html"].nav and pages["training.html"].nav


def test_alt_text_comes_from_the_output(pages):
    assert [image["alt"] for image in pages["01-first.html"].select("img")] == [ALT, "An svg"]


def test_solutions_are_folded(pages):
    solution = pages["01-first.html"].find(string=re.compile("the answer"), class_=None)
    assert solution.find_parent("details").summary.text == "Solution"
    assert "open" not in solution.find_parent("details").attrs
    assert "1" in pages["02-second.html"].select_one("details .highlight").text


def test_long_printed_lines_wrap_and_short_ones_stay(pages):
    printed = pages["01-first.html"].select(".output_text")
    assert ["sentence" in box["class"] for box in printed] == [True, False, False]


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
    "source, html, said",
    [
        ("# One\n\nthen $x^2$", "", "cell 1: TeX"),
        ("# One\n\nthen `$x$` and \\$5", "", None),
        (
            "# One",
            '<img alt="a" src="https://example.org/a.png">',
            "cell 1: .*not part of the page",
        ),
        (
            "# One",
            '<img alt="No description has been provided for this image" src="data:,">',
            "alt",
        ),
        ("# One", "<h1>Two</h1>", "one first-level heading, not 2"),
    ],
)
def test_lessons_that_would_not_work_offline_are_refused(render, source, html, said):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(source)])
    page = f'<div class="cell"><h1>One</h1>{html}</div>'
    soup = BeautifulSoup(page, "html.parser")
    if said is None:
        return render.refuse("a.ipynb", notebook, soup)
    with pytest.raises(SystemExit, match=said):
        render.refuse("a.ipynb", notebook, soup)


@pytest.mark.skipif(CHROMIUM is None, reason="needs a `chromium` on PATH to lay the pages out")
def test_text_fits_a_phone(pages, built, tmp_path):
    """Frames of 400 px, for a window of Chromium's cannot be that narrow."""
    report = "<script>onload = () => parent.postMessage(document.documentElement.scrollWidth, '*')"
    frames = ""
    for name in sorted(pages):
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
    assert len(dims) == len(pages), dumped.stderr
    assert max(dims) <= 400
