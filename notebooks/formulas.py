r"""TeX in the text of a lesson becomes MathML, which browsers draw without a script or a network.

`$...$` is a formula in the line, `$$...$$` one of its own; both may stand anywhere but in code.
"""

import re
from html import unescape
from xml.etree.ElementTree import tostring

from jinja2 import pass_context
from latex2mathml.converter import convert_to_element
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath, MathBlockParser

# How many children an element must have: TeX that lacks an argument gives fewer.
CHILDREN = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2}
CHILDREN |= {"msubsup": 3, "munderover": 3}
LENGTHS = {"negativethinmathspace": "-0.167em"}  # browsers know no other names of lengths
FUNCTION = re.compile(r"[a-z]{2,}", re.IGNORECASE)
FONTS = {"normal", "bold", "italic"}  # the ones that our style sheet knows


def mathml(tex, display="inline"):
    """Convert TeX to a MathML element with the TeX as its alternative. ValueError if it cannot."""
    text = " ".join(tex.split())
    try:
        math = understood(text, display)
    except ValueError as error:
        raise ValueError(f"the TeX ${text}$ cannot be shown: {error}") from error
    for element in math.iter():
        tidy(element)
    del math.attrib["xmlns"]  # HTML knows what <math> is
    math.set("alttext", text)
    return tostring(math, encoding="unicode", short_empty_elements=False)


def understood(text, display):
    """Convert TeX; ValueError for mistakes, those included that the package passes over."""
    bare = re.sub(r"\\.", "", text)
    if bare.count("{") != bare.count("}"):
        raise ValueError("its braces do not match")
    try:
        math = convert_to_element(text.replace("{aligned}", "{align*}"), display=display)
    except Exception as error:  # there are a dozen kinds, most of them with no more than a name
        raise ValueError(str(error) or type(error).__name__.removesuffix("Error")) from error
    for element in math.iter():
        check(element)
    return math


def check(element):
    """ValueError for what the package passed on without understanding it."""
    if re.fullmatch(r"\\\w+|[&{}]", element.text or ""):
        raise ValueError(f"{element.text} is not known there")
    if len(element) < CHILDREN.get(element.tag, 0):
        raise ValueError("an argument is missing")
    if element.get("mathvariant", "normal") not in FONTS:
        raise ValueError(f"there is no {element.get('mathvariant')} font")


def tidy(element):
    """Write an element in the way that browsers know."""
    element.text = unescape(element.text or "")
    if element.get("width") in LENGTHS:
        element.set("width", LENGTHS[element.get("width")])
    word = None  # the upright letters of \mathrm are one word, also to a screen reader
    for child in list(element):
        upright = child.tag == "mi" and child.get("mathvariant") == "normal"
        if upright and word is not None:
            word.text += child.text
            element.remove(child)
        else:
            word = child if upright else None
    for child, after in zip(element, [*element[1:], None], strict=False):
        name = child.tag in ("mi", "mo") and "mathvariant" not in child.attrib
        if name and FUNCTION.fullmatch(child.text or ""):
            opened = after is not None and unescape(after.text or "").startswith("(")
            child.tag = "mo"
            child.attrib |= {"lspace": "0.167em", "rspace": "0" if opened else "0.167em"}


class BlockParser(MathBlockParser):
    """A formula that is a paragraph begins its line, so that `$$` in code is no formula."""

    SPECIFICATION = {
        **MathBlockParser.SPECIFICATION,
        "multiline_math": r"^ {0,3}(?=\$\$|\\begin\{)(?:" + MathBlockParser.MULTILINE_MATH + ")",
    }


class Renderer(IPythonRenderer):
    """Text with formulas."""

    def inline_math(self, body):
        return mathml(body)

    def block_math(self, body):
        # A span, for this may stand inside a paragraph; it scrolls, so that the page need not.
        return f'<span class="formula">{mathml(body, "block")}</span>'

    def latex_environment(self, name, body):
        return self.block_math(rf"\begin{{{name}}}{body}\end{{{name}}}")


class FormulaError(ValueError):
    """A formula that cannot be shown, and its cell."""


class LessonExporter(HTMLExporter):
    """nbconvert's pages, with formulas."""

    @pass_context
    def markdown2html(self, context, source):
        renderer = Renderer(
            escape=False,
            embed_images=self.embed_images,
            path=context["resources"]["metadata"]["path"],
            attachments=context["cell"].get("attachments", {}),
        )
        try:
            return MarkdownWithMath(renderer, block=BlockParser()).render(source)
        except ValueError as error:
            number = 1 + context["nb"].cells.index(context["cell"])
            raise FormulaError(f"cell {number}: {error}") from error
