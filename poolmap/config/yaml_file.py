"""Reading the config: YAML 1.2 (NO stays Norway, 1e-3 is a number), every key with its line."""

from __future__ import annotations

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
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            [Problem(str(path), f"the config file cannot be read ({error})", "save it as UTF-8")]
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
        remedy = "check indentation (spaces, no tabs), brackets, quotes and the blank after each colon"
        raise InputError(
            [Problem(where, f"this is not YAML: {error.problem or error.context}", remedy)]
        ) from None
    except YAMLError as error:
        raise InputError(
            [Problem(str(path), f"this is not YAML: {error}", "check the file's encoding")]
        ) from None
    if not isinstance(tree, CommentedMap):
        remedy = "start from config/config.yaml of the demonstration"
        raise InputError([Problem(str(path), "the config holds no keys", remedy)])
    lines: dict[Location, int] = {}
    return _plain(tree, (), lines), lines


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
    """The line of a place, or of the nearest enclosing key that stands in the file."""
    place = tuple(at)
    while place:
        if place in lines:
            return lines[place]
        place = place[:-1]
    return None
