"""Equations: from LaTeX to MathML that browsers draw and screen readers read."""

from __future__ import annotations

import html
import re
from xml.etree import ElementTree

from poolmap.contracts import Equation

UPRIGHT = re.compile(r"\\mathrm\{([^{}\\]*)\}")
ALIGNED = re.compile(r"\\(begin|end)\{(?:aligned|split|align)\*?\}")
BOLD = {
    # variant: (A, a, Greek capital, Greek small, digit), the first code point of each alphabet
    "bold": (0x1D400, 0x1D41A, 0x1D6A8, 0x1D6C2, 0x1D7CE),
    "bold-italic": (0x1D468, 0x1D482, 0x1D71C, 0x1D736, 0x1D7CE),
}
ARITY = {"mfrac": 2, "msub": 2, "msup": 2, "msubsup": 3, "munder": 2, "mover": 2, "munderover": 3, "mroot": 2}
ALPHABETS = (("A", "Z"), ("a", "z"), ("Α", "Ω"), ("α", "ω"), ("0", "9"))


def mathml(equation: Equation) -> str:
    """One displayed equation as a MathML element, its words as the accessible name.

    Raises:
        ValueError: the LaTeX does not parse, or uses a command that MathML cannot show.
    """
    from latex2mathml.converter import convert_to_element

    latex = ALIGNED.sub(r"\\\1{align*}", UPRIGHT.sub(r"\\text{\1}", equation.latex))
    try:
        root = convert_to_element(latex, display="block")
    except Exception as error:
        raise ValueError(f"equation {equation.latex!r}: {type(error).__name__} {error}".rstrip()) from error
    for element in root.iter():
        element.text = html.unescape(element.text) if element.text else element.text
        if element.tag != "mtext" and element.text and "\\" in element.text:
            raise ValueError(f"equation {equation.latex!r}: unknown command {element.text}")
        if len(element) != ARITY.get(element.tag, len(element)):
            raise ValueError(
                f"equation {equation.latex!r}: an argument is missing or too many ({element.tag})"
            )
    for element in list(root.iter()):
        _mend(element)
    root.attrib.pop("xmlns", None)
    root.set("aria-label", equation.words)
    return ElementTree.tostring(root, encoding="unicode")


def _mend(element: ElementTree.Element) -> None:
    """Put right what latex2mathml leaves to renderers older than MathML Core."""
    if element.tag == "mi" and element.text == "~":
        element.tag, element.text = "mo", "∼"
    if element.tag == "mo" and element.text and element.text.isalpha():
        element.tag = "mi"
        if len(element.text) == 1:
            element.set("mathvariant", "normal")
    if element.get("mathvariant") in BOLD:
        variant = element.attrib.pop("mathvariant")
        element.text = "".join(_bold(character, variant) for character in element.text or "")
    if element.tag == "mtd" and "columnalign" in element.attrib:
        element.set("style", f"text-align: {element.attrib.pop('columnalign')}")
    children = list(element)
    for place in range(len(children) - 1, 0, -1):
        if _is_function(children[place - 1]) and children[place].tag not in ("mo", "mspace"):
            element.insert(place, ElementTree.Element("mspace", width="0.167em"))


def _is_function(element: ElementTree.Element) -> bool:
    return element.tag in ("mi", "mo") and len(element.text or "") > 1 and (element.text or "").isalpha()


def _bold(character: str, variant: str) -> str:
    for (first, last), start in zip(ALPHABETS, BOLD[variant], strict=True):
        if first <= character <= last:
            return chr(start + ord(character) - ord(first))
    return character
