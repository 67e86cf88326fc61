"""Keys of `family: mrp` that do not go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poolmap.config.conflicts import Conflict

if TYPE_CHECKING:
    from poolmap.config.mrp import MrpAnalysis


def mrp_conflicts(spec: MrpAnalysis) -> list[Conflict]:
    """What in a section cannot be, each with its key."""
    return [*_conflicts(spec), *_estimates_conflicts(spec)]


def _estimates_conflicts(spec: MrpAnalysis) -> list[Conflict]:
    """Groupings that cannot be, or that would be written to a table which is there already."""
    found = []
    tables = {"total": "that of the total", "parameters": "that of the parameters"}
    tables |= {name: f"that of the {name}" for name in ("levels", "contrasts", "contributions")}
    tables |= {"calibration": "that of expected errors", "left_out": "that of levels left out"}
    for i, grouping in enumerate(spec.groupings()[1:]):
        at, text, table = f"estimates.{i}", ":".join(grouping), spec.table_name(grouping)
        repeated = next((name for name in grouping if grouping.count(name) > 1), None)
        if "" in grouping:
            found.append(Conflict(at, f"'{text}' lacks a variable", "write variables with : between them"))
        elif "*" in text:
            remedy = f"write variables with : between them: {text.replace('*', ':')}"
            found.append(Conflict(at, f"'{text}' is no name of variables", remedy))
        elif repeated:
            found.append(Conflict(at, f"'{text}' has '{repeated}' twice", "write each variable once"))
        elif table in tables:
            same = tables[table] == f"that of '{text}'"
            what = (
                f"'{text}' stands twice"
                if same
                else (f"the table of '{text}' would be called '{table}', as {tables[table]} is")
            )
            found.append(Conflict(at, what, "leave it away" if same else "give the variable another name"))
        tables.setdefault(table, f"that of '{text}'")
    return found


def _conflicts(spec: MrpAnalysis) -> list[Conflict]:
    found = []
    if (spec.census is None) == (not spec.margins):
        found.append(Conflict("census", "give either `census` or `margins`, not both and not neither"))
    if spec.census is not None and spec.count is None and not spec.microdata:
        what = "name the column with the number of people; or write `microdata: true` for a row a person"
        found.append(Conflict("count", what))
    if spec.design.inclusion and spec.weight is None:
        what = "units drawn with unequal probabilities need the sampling weights: name them in `weight`"
        found.append(Conflict("design.inclusion", what))
    found += _population_conflicts(spec)
    if spec.map is not None and not any(spec.map.variable in grouping for grouping in spec.groupings()):
        what = f"'{spec.map.variable}' is mapped but not estimated: add it to 'estimates'"
        found.append(Conflict("map.variable", what))
    paths = list(spec.surveys.values())
    for i, (name, path) in enumerate(spec.surveys.items()):
        if path in paths[:i]:
            what = f"the file '{path}' stands twice: its respondents would count twice"
            found.append(Conflict(f"survey.{name}", what, "name each file once"))
    for i, contrast in enumerate(spec.contrasts):
        found += contrast.conflicts(f"contrasts.{i}")
    if spec.outcome.kind in ("binary", "ordered", "categorical"):
        found += [
            Conflict(
                f"thresholds.{i}",
                f"a share lies between 0 and 1 (given: {threshold:g})",
                f"write {threshold / 100:g} for {threshold:g}%" if 1 < threshold < 100 else "",
            )
            for i, threshold in enumerate(spec.thresholds)
            if not 0 < threshold < 1
        ]
    areal = [name for name, model in spec.models.items() if model.is_areal]
    if areal and spec.map is None:
        what = "icar and bym2 need `map`: the polygons of the areas"
        found.append(Conflict(f"models.{areal[0]}.structure", what))
    return found


def _population_conflicts(spec: MrpAnalysis) -> list[Conflict]:
    """Keys of census, margins and extensions that do not go together."""
    found = []
    table = spec.seed_table not in ("survey", "uniform")
    if spec.margins:
        if spec.microdata:
            found.append(Conflict("microdata", "margins are no microdata: leave one of the two away"))
        if table and spec.count is None:
            found.append(Conflict("count", "name the column of the `seed_table` with the number of people"))
        if spec.count is not None and not table and spec.census is None:
            what = "each margin names its own `count`: leave this one away"
            found.append(Conflict("count", what))
    elif spec.seed_table != "uniform":
        found.append(Conflict("seed_table", "it goes with `margins`: leave it away"))
    for i, extension in enumerate(spec.extend):
        at = f"extend.{i}"
        if (extension.known is None) != (extension.count is None):
            found.append(Conflict(at, "`known` and its column `count` go together: give both, or neither"))
        if extension.variable in [other.variable for other in spec.extend[:i]]:
            found.append(Conflict(at, f"'{extension.variable}' is put into the census twice"))
        if extension.variable in (*spec.house, spec.time):
            what = f"'{extension.variable}' is a house variable or the time, which the census need not have"
            found.append(Conflict(at, what))
    if spec.time is not None and spec.time in spec.house:
        found.append(Conflict("time", f"'{spec.time}' stands in `house` too: keep one of the two"))
    return found
