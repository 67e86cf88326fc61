"""Tables of the groups' estimates, and of the probability that they are above the thresholds."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import ReportTable
from poolmap.families.mrp.arrange import BY_ESTIMATE, BY_MEAN, Order, arranged
from poolmap.families.mrp.report_words import (
    by_words,
    capital,
    exceedance,
    group_names,
    has_answers,
    is_share,
    level,
    number_of,
    value_name,
    with_interval,
)

MOST_ROWS = 60  # of a table in the report; longer ones are cut to both ends
MOST_ANSWERS = 5  # that have a column each
MOST_COLUMNS = 8  # of probabilities in one table
DIRECT = {"raw": "Raw", "weighted": "Weighted", "raked": "Raked", "greg": "GREG"}


def group_tables(
    spec: MrpAnalysis, order: Order, grouping: tuple[str, ...], table: pd.DataFrame, model: str
) -> list[ReportTable]:
    """The estimates of each group with the probabilities of being above the thresholds.

    A few answers have a column each, and their probabilities tables of their own.

    Args:
        spec: the analysis; order: of the levels of the variables.
        grouping: its variables; table: its estimates; model: its name.
    """
    answers = list(dict.fromkeys(table["answer"])) if has_answers(spec) else []
    if 0 < len(answers) <= MOST_ANSWERS:
        return _answers(spec, order, grouping, table, answers, model)
    shown, how, cut = _shown(spec, order, table, grouping)
    names, number = group_names(shown, grouping), number_of(spec, table)
    if answers:
        names = names + ": " + shown["answer"].astype(str)
    columns = _who(grouping, names, shown)
    for kind, title in DIRECT.items():
        if kind in table and table[kind].notna().any():
            columns[title] = shown[kind].map(number)
    columns["MrP"] = shown["mean"].map(number)
    columns[f"{level(spec)} interval"] = [
        f"{number(lower)} to {number(upper)}"
        for lower, upper in zip(shown["lower"], shown["upper"], strict=True)
    ]
    for threshold, column in exceedance(spec, table).items():
        columns[f"P(>\N{NO-BREAK SPACE}{threshold})"] = shown[column].map("{:.2f}".format)
    if "truth" in shown and table["truth"].notna().any():
        columns["Truth"] = shown["truth"].map(number)
    caption = f"{capital(value_name(spec))} by {by_words(grouping)}, rows {how}.{cut}"
    if exceedance(spec, table):
        caption += " P(> t): posterior probability of more than t."
    if "GREG" in columns and is_share(spec) and not table["greg"].dropna().between(0, 1).all():
        caption += " The GREG estimator may leave the range from 0 to 1."
    return [_table(columns, f"{caption} Model {model}.", model)]


def _answers(
    spec: MrpAnalysis,
    order: Order,
    grouping: tuple[str, ...],
    table: pd.DataFrame,
    answers: list[str],
    model: str,
) -> list[ReportTable]:
    """A row a group with a column an answer, in order or by the last answer; the same of probabilities."""
    number, last = number_of(spec, table), answers[-1]
    table = table.assign(group=group_names(table, grouping))
    shown, how, cut = _shown(spec, order, table[table["answer"] == last], grouping)
    how = how.replace(BY_ESTIMATE, f"sorted by the share of '{last}'")
    how = how.replace(BY_MEAN, f"sorted by mean share of '{last}'")
    of = {
        answer: table[table["answer"] == answer].set_index("group").loc[shown["group"]] for answer in answers
    }
    columns = _who(grouping, shown["group"], shown)
    for answer, rows in of.items():
        columns[str(answer)] = [with_interval(number, row) for _, row in rows.iterrows()]
    caption = (
        f"{capital(value_name(spec))} by {by_words(grouping)}, rows {how}: MrP with {level(spec)} intervals "
        f"(direct estimates stand in the CSV file).{cut} Model {model}."
    )
    made = [_table(columns, caption, model)]
    found = exceedance(spec, table)
    together = len(found) * len(answers) <= MOST_COLUMNS
    for thresholds in [found] if together else [{t: column} for t, column in found.items()]:
        if not thresholds:
            continue
        columns = _who(grouping, shown["group"], shown)
        for threshold, column in thresholds.items():
            for answer, rows in of.items():
                columns[f"{answer}: P(>\N{NO-BREAK SPACE}{threshold})"] = rows[column].map("{:.2f}".format)
        made.append(
            _table(
                columns,
                f"Posterior probability that the share of an answer is more than "
                f"{' and more than '.join(thresholds)}, by {by_words(grouping)}, in the rows of the table "
                f"above.{cut} Model {model}.",
                model,
            )
        )
    return made


def _who(grouping: tuple[str, ...], names: pd.Series, shown: pd.DataFrame) -> dict[str, pd.Series]:
    """The first columns: the groups, their respondents where they are known, their people."""
    columns = {capital(by_words(grouping)): names}
    if shown["n_survey"].notna().all():
        columns["Sample"] = shown["n_survey"].map("{:,.0f}".format)
    columns["Population"] = shown["n_census"].map("{:,.0f}".format)
    return columns


def _table(columns: Mapping[str, pd.Series], caption: str, model: str) -> ReportTable:
    frame = pd.DataFrame({name: list(values) for name, values in columns.items()})
    return ReportTable(frame, caption, list(frame.columns[1:]), model)


def _shown(
    spec: MrpAnalysis, order: Order, table: pd.DataFrame, grouping: tuple[str, ...]
) -> tuple[pd.DataFrame, str, str]:
    """The rows that are shown, how they are sorted, and what is said of those that are not."""
    table, how = arranged(spec, order, table, grouping)
    if len(table) > MOST_ROWS and BY_MEAN in how:  # both ends of such a table would be two areas
        table, how = table.sort_values("mean", ascending=False, ignore_index=True, kind="stable"), BY_ESTIMATE
    shown, cut = ends_of(table, sorted_down=how == BY_ESTIMATE)
    return shown.reset_index(drop=True), how, cut


def ends_of(table: pd.DataFrame, *, sorted_down: bool) -> tuple[pd.DataFrame, str]:
    """Both ends of a long table, and what is said of it."""
    if len(table) <= MOST_ROWS:
        return table, ""
    ends = MOST_ROWS // 4
    first, last = (f"{ends} highest", f"{ends} lowest") if sorted_down else (f"first {ends}", f"last {ends}")
    cut = f" The {first} and {last} of {len(table):,} rows; the others stand in the CSV file."
    return pd.concat([table.head(ends), table.tail(ends)]), cut
