"""Where in the config's file a key stands that a later step names: its messages know keys, not lines."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from poolmap.config.yaml_file import line_of, read_yaml
from poolmap.errors import InputError

_KEY = re.compile(r"^((?:  - )?)config: (.+?)(?=: |$)", re.MULTILINE)


def places(path: str | Path) -> Callable[[str, str], str]:
    """A function that writes file and line in place of each `config: key` in the messages of an analysis.

    Args:
        path: the config.

    Returns:
        function of a text and the analysis's name; where the file cannot be read it leaves the text as it is.
    """
    try:
        _, lines = read_yaml(path)
    except InputError:
        return lambda text, analysis: text
    if Path(path).is_relative_to(Path.cwd()):
        path = Path(path).relative_to(Path.cwd())

    def placed(text: str, analysis: str) -> str:
        def said(found: re.Match[str]) -> str:
            line = line_of(lines, ("analyses", analysis, *found[2].split(".")))
            at = f"{path}, line {line}" if line else str(path)
            return f"{found[1]}{at}: analyses.{analysis}.{found[2]}"

        return _KEY.sub(said, text)

    return placed
