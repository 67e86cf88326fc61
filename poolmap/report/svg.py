"""Figures inside a page: SVG made safe to stand beside other SVG, PNG as data URI."""

from __future__ import annotations

import base64
import re
from xml.etree import ElementTree

SVG_LIMIT = 600_000
"""Bytes of SVG above which the PNG is embedded instead, where there is one."""

REFERENCE = re.compile(r"url\(\s*['\"]?#([^'\")]+)['\"]?\s*\)")
FOREIGN_URL = re.compile(r"url\(\s*['\"]?(?!#|['\"\s])", re.IGNORECASE)
UNWANTED = {"metadata", "script", "foreignObject", "iframe", "a", "animate", "set", "handler"}
POINT = 4 / 3


def inline_svg(text: str, prefix: str, alt: str) -> str:
    """An SVG document as an element that can stand in HTML beside others.

    Ids and the references to them get `prefix` (matplotlib gives every figure the same ids), the rules of
    its style sheet are bound to it, and whatever could reach out of the page (links, scripts, external
    references) is dropped. Its size follows the page; its natural width is kept as the widest, and as
    `--natural` for the style sheet.

    Args:
        text: the SVG file's text.
        prefix: unique in the page.
        alt: the accessible name.

    Raises:
        ValueError: the text is no SVG.
    """
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"figure {prefix}: not an SVG ({error})") from error
    _plain_names(root)
    if root.tag != "svg":
        raise ValueError(f"figure {prefix}: not an SVG but <{root.tag}>")
    _drop_unwanted(root)
    used = _used_ids(root)
    for element in root.iter():
        _prefix_ids(element, prefix, used)
        if element.tag == "style":
            element.text = _scope(element.text or "", f"#{prefix}")
    width = _points(root.attrib.pop("width", ""))
    height = _points(root.attrib.pop("height", ""))
    if "viewBox" not in root.attrib and width and height:
        root.set("viewBox", f"0 0 {width:g} {height:g}")
    root.attrib.pop("version", None)
    root.set("id", prefix)
    root.set("role", "img")
    root.set("aria-label", alt)
    root.set("focusable", "false")
    if width:
        root.set("style", f"max-width: {width * POINT:.0f}px; --natural: {width * POINT:.0f}px")
    return ElementTree.tostring(root, encoding="unicode")


def png_uri(png: bytes) -> str:
    """A PNG as data URI."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _plain_names(root: ElementTree.Element) -> None:
    """Names without namespaces: HTML gives elements inside <svg> theirs, and `xlink:href` is `href`."""
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        for name in [name for name in element.attrib if "}" in name]:
            value = element.attrib.pop(name)
            element.attrib.setdefault(name.rpartition("}")[2], value)


def _drop_unwanted(root: ElementTree.Element) -> None:
    for parent in root.iter():
        for child in list(parent):
            if child.tag in UNWANTED:
                # A link's content stays, the link goes.
                if child.tag == "a":
                    child.tag, child.attrib = "g", {}
                else:
                    parent.remove(child)
    for element in root.iter():
        for name, value in list(element.attrib.items()):
            if (
                name.startswith("on")
                or (name in ("href", "src") and not value.startswith(("#", "data:image/")))
                or FOREIGN_URL.search(value)
            ):
                del element.attrib[name]


def _used_ids(root: ElementTree.Element) -> set[str]:
    used = set()
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == "href" and value.startswith("#"):
                used.add(value[1:])
            used.update(REFERENCE.findall(value))
        if element.tag == "style":
            used.update(re.findall(r"#([\w.-]+)", element.text or ""))
    return used


def _prefix_ids(element: ElementTree.Element, prefix: str, used: set[str]) -> None:
    for name, value in list(element.attrib.items()):
        if name == "id":
            if value in used:
                element.set("id", f"{prefix}-{value}")
            else:
                del element.attrib["id"]
        elif name == "href" and value.startswith("#"):
            element.set("href", f"#{prefix}-{value[1:]}")
        elif "url(" in value:
            element.set(name, REFERENCE.sub(rf"url(#{prefix}-\1)", value))


def _scope(css: str, owner: str) -> str:
    """The plain rules of a style sheet, each selector bound to its owner; at-rules are left out."""
    rules = []
    for selectors, declarations in re.findall(r"([^{}]+)\{([^{}]*)\}", css):
        if "@" in selectors or FOREIGN_URL.search(declarations):
            continue
        bound = ", ".join(
            f"{owner} " + re.sub(r"#([\w.-]+)", rf"{owner}-\1", selector.strip())
            for selector in selectors.split(",")
        )
        declarations = REFERENCE.sub(rf"url({owner}-\1)", declarations).strip()
        rules.append(f"{bound} {{{declarations}}}")
    return "\n".join(rules)


def _points(length: str) -> float | None:
    match = re.fullmatch(r"\s*([\d.]+)\s*(pt|px|in)?\s*", length)
    if not match:
        return None
    scale = {"pt": 1.0, "in": 72.0}.get(match[2] or "px", 0.75)
    return float(match[1]) * scale
