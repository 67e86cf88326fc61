"""Which files of the library a step uses, so that Snakemake reruns the step when one of them changes."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@cache
def _module_file(module: str) -> Path | None:
    stem = ROOT.joinpath(*module.split("."))
    return next((p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file()), None)


@cache
def _imports(file: Path) -> frozenset[str]:
    """Modules of poolmap that a file imports, anywhere in it (also inside functions)."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(name for name in found if name.split(".")[0] == "poolmap")


def source_files(*modules: str) -> list[str]:
    """The files of the given modules and of all that they import from poolmap, directly or not.

    Args:
        modules: dotted names such as `poolmap.families.meta.ingest`.

    Returns:
        paths relative to the project folder, sorted.

    Raises:
        ModuleNotFoundError: a given module is not in the library.
    """
    seen: dict[str, Path] = {}
    queue = list(modules)
    for module in modules:
        if _module_file(module) is None:
            raise ModuleNotFoundError(f"poolmap has no module {module}")
    while queue:
        module = queue.pop()
        file = _module_file(module)
        if module in seen or file is None:
            continue
        seen[module] = file
        queue.extend(_imports(file))
        if "." in module:
            queue.append(module.rpartition(".")[0])
    return sorted({file.relative_to(ROOT).as_posix() for file in seen.values()})
