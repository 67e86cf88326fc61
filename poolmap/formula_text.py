"""What the library formulae does not say of a formula: where it stopped reading, and why, in words."""

from __future__ import annotations

import re

_BARE = re.compile(r"Don't know how to parse '(.*)'")


def unread(text: str) -> str:
    """Why the whole of a formula cannot be read; empty where it can.

    formulae reads as far as it understands: of "y ~ a b + c", where a plus is missing, it takes "y ~ a".

    Args:
        text: the formula, one- or two-sided.
    """
    from formulae.parser import Parser
    from formulae.scanner import Scanner

    try:
        parser = Parser(Scanner(text).scan())
        parser.parse()
    except Exception as error:  # formulae has errors of its own beside ValueError
        return _in_words(str(error), text)
    if parser.at_end():
        return ""
    return f"a + is missing before '{parser.peek().lexeme}', or something stands there that should not"


def _in_words(error: str, text: str) -> str:
    if found := _BARE.fullmatch(error):
        if found[1] == ".":
            return "'.' cannot stand where it does"
        if found[1]:
            return f"something is missing before '{found[1]}'"
        return "something is missing at its end"
    if error.startswith("Expect ')'"):
        return f"in a parenthesis a sign, such as + or |, or the closing one is missing ('{text.strip()}')"
    if error.startswith("Unexpected character: "):
        return f"'{error.removeprefix('Unexpected character: ')}' cannot stand in a formula"
    if error.startswith("There is more than one '~'"):
        return "it has more than one ~"
    return error
