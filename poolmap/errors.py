"""Errors that a user reads: where, what is wrong, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    `where` names the file, row, column or key; `what` says what is wrong; `remedy` what to do about it.
    """

    where: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f"\n    -> {self.remedy}" if self.remedy else "")


class PoolmapError(Exception):
    """A failure with a message for the user; no traceback is needed to act on it."""


class InputError(PoolmapError):
    """Everything found wrong with the config or with one input, collected and raised once.

    Args:
        problems: at least one `Problem`.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        count = len(self.problems)
        head = "1 problem was found" if count == 1 else f"{count} problems were found"
        super().__init__("\n".join([f"{head}:", *(f"  - {problem}" for problem in self.problems)]))


class ToolchainError(PoolmapError):
    """Stan cannot be found, built or used to compile a program on this machine."""
