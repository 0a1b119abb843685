"""Render the course: execute a copy of every lesson and write pages that work offline.

    python notebooks/render.py --run runs/lessons --out build/lessons

What runs is a copy beside the output, so the lessons in the checkout stay as they are. The pages
get the name of the output when all are written, so a failure leaves earlier pages as they were.
"""

import argparse
import os
import platform
import re
import shutil
import sys
import time
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import jinja2
import nbformat
from bs4 import BeautifulSoup
from formulas import FormulaError, LessonExporter
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbconvert.filters import strip_ansi
from pygments.formatters import HtmlFormatter
from training_page import draw_curve, duration, read_record, readable, record_tables
from traitlets.config import Config

HERE = Path(__file__).resolve().parent
GENERATOR = "minimaxvit notebooks/render.py"
PROMISE = (
    "Learn MaxViT by building it: each lesson derives one part by hand, "
    "then checks it against the package."
)
SHOWN = ["text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/plain"]


@dataclass
class Page:
    """A page, and what the index and the other pages show of it.

    `sections` are the anchors and the headings of its parts.
    """

    page: str
    title: str
    body: str = ""
    sections: list = field(default_factory=list)
    question: str = ""
    time: str = ""
    figure: str = ""
    seconds: float = 0.0


def beside(path):
    """Tell nbclient and nbconvert to look for files in the folder of the lesson."""
    return {"metadata": {"path": str(path.parent)}}


def execute(path):
    """Run a lesson from top to bottom in its own folder, and stop at the first cell that fails."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=3600,
        resources=beside(path),
        extra_arguments=["--log-level=ERROR"],  # else each kernel warns of its port
    )
    # A backend set outside would keep the kernel from showing its figures.
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    with client.setup_kernel(env=environment):
        for number, cell in enumerate(notebook.cells):
            try:
                client.execute_cell(cell, number)
            except (CellControlSignal, DeadKernelError) as error:
                sys.exit(f"{path.name}, cell {number + 1} failed:\n{strip_ansi(str(error))}")
            if cell.cell_type == "code":
                cell.outputs = joined(cell.outputs)
    return notebook


def joined(outputs):
    """Join what was printed in pieces, but leave it where it stands among the figures."""
    made = []
    for output in outputs:
        said = output.output_type == "stream" and output.name
        if said and made and made[-1].get("name") == said:
            made[-1].text += output.text
        else:
            made.append(output)
    for output in made:
        if output.output_type == "stream":  # a line that returns to its start is written over
            output.text = re.sub(r"[^\n]*\r(?=[^\n])", "", output.text)
    return made


def refuse(name, soup):
    """Stop at what does not work offline, or for a reader who cannot see the figures."""
    for tag in soup.select("[src], link[href]"):
        cell = len(tag.find_all_previous(class_="cell"))
        if urlsplit(tag.get("src", tag.get("href"))).scheme != "data":
            sys.exit(f"{name}, cell {cell}: {str(tag)[:80]} is not part of the page")
        if tag.get("alt", "").startswith("No description has been provided"):
            sys.exit(f"{name}, cell {cell}: an image without 'alt' in its output's metadata")
    if len(soup.select("h1")) != 1:
        sys.exit(f"{name}: a lesson has one first-level heading, not {len(soup.select('h1'))}")


def mend_links(soup, names):
    """Point links between lessons at their pages; links to other files become plain text."""
    for link in soup.select("a.anchor-link"):
        link.decompose()
    for link in soup.select("a[href]"):
        target = urlsplit(link["href"])
        if target.path in names:
            link["href"] = link["href"].replace(".ipynb", ".html", 1)
        elif not target.scheme and target.path:
            link.unwrap()


def plain(element):
    """The text of an element, its formulas as TeX."""
    element = copy(element)
    for formula in element.select("math"):
        formula.replace_with(formula["alttext"])
    return element.get_text()


def sections(soup):
    """The anchor of each section, and its heading as HTML without links."""
    for heading in map(copy, soup.select("h2[id]")):
        for link in heading.select("a"):
            link.unwrap()
        yield heading["id"], heading.decode_contents()


def question(soup):
    """The first sentence below the title, after a label such as "Question."."""
    paragraph = soup.h1.find_next("p")
    sentences = re.split(r"(?<=[.?!:])\s+", plain(paragraph)) if paragraph else []
    return next((sentence for sentence in sentences if len(sentence.split()) > 2), "")


def reading_time(soup):
    """What the lesson says after "Time:", up to the first comma or semicolon."""
    items = (item.get_text() for item in soup.select("li"))
    found = next((text for text in items if text.startswith("Time:")), "")
    return re.split("[,;]", found.removeprefix("Time:"))[0].strip(" .")


def first_figure(soup):
    """The figure that stands for the lesson in the index; none that is an answer."""
    shown = (image for image in soup.select("img") if not image.find_parent("details"))
    return str(next(shown, ""))


def render(path, names):
    """Execute one lesson and turn it into a page."""
    started = time.perf_counter()
    notebook = execute(path)
    seconds = time.perf_counter() - started
    exporter = LessonExporter(
        config=Config(NbConvertBase={"display_data_priority": SHOWN}),
        template_name="template",
        template_file="lesson.html.j2",
        extra_template_basedirs=[str(HERE)],
        embed_images=True,
    )
    try:
        html, _ = exporter.from_notebook_node(notebook, beside(path))
    except FormulaError as error:
        sys.exit(f"{path.name}, {error}")
    soup = BeautifulSoup(html, "html.parser")
    mend_links(soup, names)
    refuse(path.name, soup)
    shown = list(sections(soup)), question(soup), reading_time(soup), first_figure(soup)
    return Page(path.stem + ".html", plain(soup.h1), str(soup), *shown, seconds)


def stylesheet():
    """Our style and the colors of code, in light mode and in dark mode."""
    light = HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    ours = (HERE / "template" / "style.css").read_text()
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{ours}"


def explorer(path, folder):
    """Copy a page of `minimaxvit explore` to the others, with a way back to them."""
    html = path.read_text(encoding="utf-8")
    soup = BeautifulSoup(html, "html.parser")
    _write_with_way_back(html, "<body>", folder / path.name)
    return Page(path.name, soup.h1.get_text(), figure=first_figure(soup))


def side_by_side(path, folder):
    """Copy the page that sets networks side by side, and the explorers that are not there yet."""
    html = path.read_text(encoding="utf-8")
    _write_with_way_back(html, '<div class="page">', folder / path.name)
    for other in explorers_of(path):
        if not (folder / other.name).exists():
            explorer(other, folder)
    return Page(path.name, BeautifulSoup(html, "html.parser").h1.get_text())


def explorers_of(path):
    """The pages that a page with networks side by side shows in frames."""
    soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    return [path.with_name(link["href"]) for link in soup.select("th a[href]")]


def _write_with_way_back(html, after, path):
    back = '<p><a href="index.html" target="_top">All lessons</a></p>'  # out of a frame, too
    path.write_text(html.replace(after, f"{after}\n{back}", 1), encoding="utf-8")


def write_pages(folder, lessons, explorers, beside, record):
    """Write the index, the lessons and the training run, each page with all it needs inside."""
    loader = jinja2.FileSystemLoader(HERE / "template")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True)
    environment.filters.update(duration=duration, readable=readable)
    training = Page("training.html", "The training run")
    course = [*lessons, training]
    environment.globals.update(css=stylesheet(), generator=GENERATOR, course=course)

    def write(name, template, **values):
        html = environment.get_template(template).render(**values)
        (folder / name).write_text(html, encoding="utf-8")

    trail = [None, *course]
    for previous, lesson, following in zip(trail, lessons, trail[2:], strict=False):
        write(lesson.page, "page.html.j2", **vars(lesson), previous=previous, next=following)
    history, source = record["history"], record["data"]["source"]
    run = {"curve": draw_curve(history, source), "history": history}
    write(
        training.page,
        "training.html.j2",
        page=training.page,
        title=training.title,
        previous=lessons[-1],
        tables=record_tables(record),
        **run,
    )
    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    write(
        "index.html",
        "home.html.j2",
        title="MaxViT, built from scratch",
        promise=PROMISE,
        lessons=lessons,
        explorers=[explorer(path, folder) for path in explorers],
        side_by_side=side_by_side(beside, folder) if beside else None,
        machine=machine,
        **run,
    )


def home(path):
    return Path(path).expanduser()


def main(arguments=None):
    """Check the options, run the lessons, and only then replace earlier pages."""
    parser = argparse.ArgumentParser(description="Render the lessons to pages.")
    parser.add_argument("--run", type=home, help="folder of a finished training run")
    parser.add_argument(
        "--explorer", type=home, nargs="*", default=[], help="pages of `minimaxvit explore` to add"
    )
    parser.add_argument("--side-by-side", type=home, help="page of side_by_side.py to add")
    parser.add_argument("--out", type=home, default=Path("build/lessons"), help="folder to write")
    parser.add_argument("--notebooks", type=home, default=HERE, help="folder of the lessons")
    options = parser.parse_args(arguments)
    record, out = read_record(options.run), options.out.resolve()
    index = out / "index.html"
    free = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    if not free and not (index.is_file() and GENERATOR in index.read_text(encoding="utf-8")):
        sys.exit(f"{out} exists and was not made by this script; name another --out")
    names = sorted(path.name for path in options.notebooks.glob("*.ipynb"))
    if not names:
        sys.exit(f"there are no lessons in {options.notebooks}")
    for path in options.explorer:
        if not path.is_file():
            sys.exit(f"there is no {path}; make it with: minimaxvit explore IMAGE --out {path}")
    beside = options.side_by_side
    for path in [beside, *(explorers_of(beside) if beside.is_file() else [])] if beside else []:
        if not path.is_file():
            sys.exit(f"there is no {path}; make it with: python notebooks/side_by_side.py")

    half = out.with_name(f".{out.name}-{os.getpid()}")
    work, made = half / "notebooks", half / "made"
    try:
        ignored = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(options.notebooks, work, ignore=ignored)
        made.mkdir()
        lessons = []
        for number, name in enumerate(names, start=1):
            lessons.append(render(work / name, names))
            print(f"{number}/{len(names)} {name}: {duration(lessons[-1].seconds)}", flush=True)
        write_pages(made, lessons, options.explorer, beside, record)
        if out.exists():
            out.rename(half / "earlier")
        made.rename(out)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    print(f"Open {index}")


if __name__ == "__main__":
    main()
