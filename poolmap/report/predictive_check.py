"""The posterior predictive check of a model: its figure, and statistics of data and replicates in a table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from poolmap.contracts import ModelResult, NamedFigure, ReportTable
from poolmap.figures.predictive import draw_predictive, plural
from poolmap.report.views import listed

MEANT = {
    "cell": " (a cell: the respondents who are alike in every variable of the formula)",
    "answer count": " (how many respondents of a cell gave an answer; a cell: the respondents who are alike "
    "in every variable of the formula)",
}
"""What an observation of the check is, where its name does not say it."""

NOTHING_EXACT = (
    "There is no posterior predictive check: nothing was observed exactly, only ranges are known, and "
    "replicates cannot be compared with them."
)


def predictive_figure(result: ModelResult, interval: float) -> NamedFigure:
    """Observed data beside their predictive intervals (of the level `interval`), and predictive p-values."""
    table = result.predictive
    unit, outside = table["unit"].iloc[0], table[~table["inside"]]
    names = ", ".join(outside["label"][:10]) + (" ..." if len(outside) > 10 else "")
    lie = "lies" if len(outside) == 1 else "lie"
    found = (
        f"{len(outside):,} of {_counted(len(table), unit)}{MEANT.get(unit, '')} {lie} outside their "
        f"{100 * interval:g}% predictive interval"
        f"{': ' + names if names else ''}; where the model fits, no more than "
        f"about {100 * (1 - interval):g}% do."
    )
    return NamedFigure(
        name=f"predictive_{result.name}",
        figure=draw_predictive(table, result.value, interval),
        title=f"Posterior predictive check, model {result.name}",
        caption=f"Left: {result.value}, observed (points) and replicated from the fitted model (bars: "
        f"{100 * interval:g}% predictive intervals). {found} Right: posterior predictive p-values; many "
        "near 0 or 1 speak against the model. Where each observation has an effect of its own in the "
        "model, they gather around one half.",
        alt=f"Observed data against the model's predictive intervals. {found}",
        model=result.name,
    )


def statistics_table(result: ModelResult, interval: float) -> ReportTable:
    """Statistics of the data beside their posterior predictive distributions."""
    rows = result.statistics
    places = [_decimals(upper - lower) for lower, upper in zip(rows["lower"], rows["upper"], strict=True)]

    def written(column: str) -> list[str]:
        return [f"{value:,.{digits}f}" for value, digits in zip(rows[column], places, strict=True)]

    limits = zip(written("lower"), written("upper"), strict=True)
    frame = pd.DataFrame(
        {
            "Statistic": rows["statistic"],
            "Observed": written("observed"),
            "Predicted median": written("median"),
            f"{100 * interval:g}% interval": [f"{lower} to {upper}" for lower, upper in limits],
            "p-value": rows["p_value"].map("{:.2f}".format),
        }
    )
    unit = str(result.predictive["unit"].iloc[0])
    fixed = rows.loc[np.isclose(rows["lower"], rows["upper"], rtol=1e-9, atol=0), "statistic"].tolist()
    caption = (
        "The check of the figure above in four numbers: mean, standard deviation, smallest and largest value "
        f"over its {_counted(len(result.predictive), unit)}, in the data and in {rows['replicates'].max():,} "
        f"data sets replicated from model {result.name}. The p-value is the share of replicates below the "
        "observed value (ties count half): near 0 or 1 the model does not reproduce that feature of the data."
    )
    if fixed:
        one = len(fixed) == 1
        caption += (
            f" {listed(fixed).capitalize()} {'is' if one else 'are'} the same in nearly all replicates, and "
            f"{'checks' if one else 'check'} nothing here."
        )
    return ReportTable(frame, caption, numeric=list(frame.columns[1:]), model=result.name)


def _counted(number: int, unit: str) -> str:
    return f"{number:,} {unit if number == 1 else plural(unit)}"


def _decimals(width: float) -> int:
    """Decimals that show an interval of this width with three significant digits; from 0 to 6."""
    if not np.isfinite(width) or width <= 0:
        return 2
    return int(np.clip(2 - np.floor(np.log10(width)), 0, 6))
