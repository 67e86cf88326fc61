"""Reading the config: YAML 1.2 (NO stays Norway, 1e-3 is a number), every key with its line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from poolmap.errors import InputError, Problem

Location = tuple[str | int, ...]


def read_yaml(path: str | Path) -> tuple[dict[str, Any], dict[Location, int]]:
    """Read a YAML mapping.

    Returns:
        the content as plain dicts and lists, and the line (from 1) of each key and list item.

    Raises:
        InputError: the file is absent, is not YAML, repeats a key, or holds no mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError([Problem(str(path), "the config file does not exist", "check the path")]) from None
    except IsADirectoryError:
        raise InputError(
            [Problem(str(path), "this is a folder, not a config file", "name the .yaml file in it")]
        ) from None
    except UnicodeDecodeError:
        what = "the config file is not text in UTF-8"
        raise InputError([Problem(str(path), what, "save it as UTF-8")]) from None
    except OSError as error:
        raise InputError(
            [Problem(str(path), f"the config file cannot be read ({error.strerror})", "check that you may")]
        ) from None
    yaml = YAML(typ="rt")
    yaml.allow_duplicate_keys = False
    try:
        tree = yaml.load(text)
    except DuplicateKeyError as error:
        key = text.splitlines()[error.problem_mark.line].split(":")[0].strip()
        raise InputError(
            [
                Problem(
                    f"{path}, line {error.problem_mark.line + 1}",
                    f"the key '{key}' stands twice in the same section",
                    "keep one of the two: YAML would silently take the last",
                )
            ]
        ) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        what, remedy = _in_words(str(error.problem or error.context), text, mark.line if mark else 0)
        raise InputError([Problem(where, what, remedy)]) from None
    except YAMLError as error:
        raise InputError(
            [Problem(str(path), f"this is not YAML: {error}", "check the file's encoding")]
        ) from None
    if not isinstance(tree, CommentedMap):
        remedy = "start from config/config.yaml of the demonstration"
        raise InputError([Problem(str(path), "the config holds no keys", remedy)])
    lines: dict[Location, int] = {}
    return _plain(tree, (), lines), lines


def _in_words(said: str, text: str, line: int) -> tuple[str, str]:
    """What the YAML library found wrong, in plain words, and what to do."""
    lines = text.splitlines()
    here = lines[line] if line < len(lines) else ""
    if "\\t" in said or "\t" in here[: len(here) - len(here.lstrip())]:
        return "this is not YAML: the line begins with a tab", "indent it with blanks"
    before = next((part for part in reversed(lines[: line + 1]) if part.strip()), "")
    if "expected ':'" in said or ("mapping values are not allowed" in said and ": " not in before):
        return (
            "this is not YAML: a key has no colon with a blank behind it, here or in the line above",
            "write key: value",
        )
    if "mapping values are not allowed" in said:
        remedy = "put a text with a colon in quotes; begin each key of a section in the same column"
        return "this is not YAML: a colon stands where none can be", remedy
    if "expected ',' or" in said or "flow" in said:
        return "this is not YAML: a bracket is not closed, or a comma is missing", "check the brackets"
    if "quoted scalar" in said or "end of stream" in said:
        return "this is not YAML: a quotation mark is not closed", "check the quotation marks"
    if sign := re.search(r"found character '(.)' that cannot start", said):
        return f"this is not YAML: a text cannot begin with {sign[1]}", "put it in quotes"
    if "expected <block end>" in said or "did not find expected key" in said:
        remedy = "begin all keys of a section in the same column"
        return "this is not YAML: the line is indented otherwise than those of its section", remedy
    remedy = "check indentation (spaces, no tabs), brackets, quotes and the blank after each colon"
    return f"this is not YAML: {said}", remedy


def _plain(node: Any, at: Location, lines: dict[Location, int]) -> Any:
    """The node without ruamel's types, noting each key's line on the way."""
    if isinstance(node, CommentedMap):
        content = {}
        for key, value in node.items():
            place = (*at, str(key))
            if key in node.lc.data:  # keys merged in from an anchor have no line of their own
                lines[place] = node.lc.data[key][0] + 1
            content[str(key)] = _plain(value, place, lines)
        return content
    if isinstance(node, CommentedSeq):
        for index in range(len(node)):
            lines[*at, index] = node.lc.data[index][0] + 1
        return [_plain(value, (*at, index), lines) for index, value in enumerate(node)]
    if isinstance(node, bool):
        return bool(node)
    if isinstance(node, int):
        return int(node)
    if isinstance(node, float):
        return float(node)
    if isinstance(node, str):
        return str(node)
    return node


def line_of(lines: Mapping[Location, int], at: Sequence[str | int]) -> int | None:
    """The line of a place, or of the nearest enclosing key that stands in the file.

    The number of a list's entry may be text.
    """
    known = {tuple(map(str, place)): line for place, line in lines.items()}
    place = tuple(map(str, at))
    while place:
        if place in known:
            return known[place]
        place = place[:-1]
    return None
