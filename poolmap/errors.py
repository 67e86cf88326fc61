"""Errors that a user reads: where, what is wrong, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace


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

    A remedy that several problems in a row share is told below the last of them.

    Args:
        problems: at least one `Problem`.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        count = len(self.problems)
        head = "1 problem was found" if count == 1 else f"{count} problems were found"
        shown = []
        for problem, after in zip(self.problems, [*self.problems[1:], None], strict=True):
            said_below = after is not None and after.remedy == problem.remedy
            shown.append(f"  - {replace(problem, remedy='') if said_below else problem}")
        super().__init__("\n".join([f"{head}:", *shown]))


class ToolchainError(PoolmapError):
    """Stan cannot be found, built or used to compile a program on this machine."""
