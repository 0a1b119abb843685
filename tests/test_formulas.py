"""Formulas of the lessons as MathML: what they look like, and which are refused."""

import importlib
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("latex2mathml", reason="the lessons extra is not installed")
pytest.importorskip("nbconvert", reason="the lessons extra is not installed")

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


@pytest.fixture(scope="module")
def formulas():
    sys.path.insert(0, str(NOTEBOOKS))
    yield importlib.import_module("formulas")
    sys.path.remove(str(NOTEBOOKS))


@pytest.fixture
def parsed(formulas):
    return lambda *arguments: ElementTree.fromstring(formulas.mathml(*arguments))


def inside(element):
    """The tags and texts of an element in short, without rows."""
    parts = [inside(child) for child in element]
    text = element.text or ""
    return "".join(parts) if element.tag == "mrow" else f"{element.tag}({text}{''.join(parts)})"


@pytest.mark.parametrize(
    "tex, expected",
    [
        (r"\frac{a}{b}", "mfrac(mi(a)mi(b))"),
        (r"\sqrt{d}", "msqrt(mi(d))"),
        (r"K^\top", "msup(mi(K)mo(⊤))"),
        (r"x_1^2", "msubsup(mi(x)mn(1)mn(2))"),
        (r"W \in \mathbb{R}^{c}", "mi(W)mo(∈)msup(mi(ℝ)mi(c))"),
        (r"\mathrm{softmax}(x)", "mi(softmax)mo(()mi(x)mo())"),
        (r"\mathrm{a}\,b", "mi(a)mspace()mi(b)"),
        (r"\{1, 2\}", "mo({)mn(1)mo(,)mn(2)mo(})"),
        (r"a < b", "mi(a)mo(<)mi(b)"),
        (r"\text{a & b}", "mtext(a\u00a0&\u00a0b)"),
        (r"\log x", "mo(log)mi(x)"),
    ],
)
def test_tex_becomes_mathml(parsed, tex, expected):
    math = parsed(tex)
    assert "".join(map(inside, math)) == expected
    assert math.attrib == {"display": "inline", "alttext": tex}


def test_a_formula_by_itself_has_its_limits_above_and_below(parsed):
    assert "munderover" in inside(parsed(r"\sum_{i=1}^n x_i", "block")[0])
    assert "munderover" not in inside(parsed(r"\sum_{i=1}^n x_i", "inline")[0])


def test_equations_are_aligned(parsed):
    tex = r"\begin{aligned} a &= b \\ c &= d \end{aligned}"
    assert inside(parsed(tex)[0]).count("mtr(mtd(") == 2
    assert parsed(tex).get("alttext") == tex


def test_names_of_functions_stand_apart_but_not_from_their_bracket(parsed):
    spaces = [parsed(tex).find(".//mo").attrib for tex in (r"\log x", r"\log(x)")]
    assert [space["rspace"] for space in spaces] == ["0.167em", "0"]


def test_lengths_are_numbers(parsed):
    assert parsed(r"a\!b").find(".//mspace").get("width") == "-0.167em"


@pytest.mark.parametrize(
    "tex, said",
    [
        (r"\unheard{x}", r"\\unheard is not known"),
        (r"a & b", "& is not known"),
        (r"x^{2", "braces"),
        (r"\frac{a}", "an argument is missing"),
        (r"x_", "MissingSuperScriptOrSubscript"),
        (r"\left( x", "ExtraLeftOrMissingRight"),
        (r"\cal X", "no script font"),
        (r"", "NoAvailableTokens"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(formulas, tex, said):
    with pytest.raises(ValueError, match=said) as refused:
        formulas.mathml(tex)
    assert str(refused.value).startswith(f"the TeX ${tex}$ cannot be shown: ")
    assert "\n" not in str(refused.value)


@pytest.fixture
def html(formulas):
    """A function that turns Markdown into HTML as pages have it."""

    def convert(source):
        cell = {"source": source}
        context = {"resources": {"metadata": {"path": ""}}, "cell": cell}
        return formulas.LessonExporter().markdown2html(context, source)

    return convert


@pytest.mark.parametrize(
    "source",
    [
        "`$x$` and `$y$`",
        "``$x$`` and `$$y$$`",
        "costs `$$1` and\n`$$2`",
        "```\n$x$\n\n$$y$$\n```",
        "~~~\n$$y$$\n~~~",
        "text\n\n    $$x$$\n",
        r"it costs \$5 and \$6",
        "it costs $5",
    ],
)
def test_other_dollars_are_left_alone(html, source):
    shown = html(source)
    assert "<math" not in shown
    assert shown.count("$") == source.count("$")


@pytest.mark.parametrize(
    "source, displays",
    [
        ("in $x$ line and $$y$$ more", ["inline", "block"]),
        ("$$\nx\n$$", ["block"]),
        ("text\n\n$$x$$\n\ntext", ["block"]),
        ("- item $x$\n\n  $$y$$\n", ["inline", "block"]),
        ("| a |\n|---|\n| $x$ |", ["inline"]),
        ("# Title $x$", ["inline"]),
        ("`a` $x$ `b`", ["inline"]),
        ("\\begin{align*} a &= b \\end{align*}", ["block"]),
    ],
)
def test_formulas_are_found_wherever_they_stand(html, source, displays):
    shown = html(source)
    found = [part.split('"')[1] for part in shown.split("<math display=")[1:]]
    assert found == displays and "$" not in shown
    assert shown.count('<span class="formula">') == displays.count("block")
