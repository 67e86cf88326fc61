"""Models compared by the estimates of the groups, which leave-one-out cannot rank."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import ModelResult


def model_differences(spec: MrpAnalysis, results: Mapping[str, ModelResult]) -> pd.DataFrame:
    """Each group's estimate by every further model beside the primary one's.

    Leave-one-out of individual answers does not rank models by their small-area error (Kuh, Kennedy, Chen and
    Gelman 2022, arXiv:2209.01773): what to look at is which groups differ, and by how much of their
    uncertainty.

    Returns:
        `model`, `grouping` (table), `group`, `answer` where there are several, `n_survey`, `primary` and
        `other` (posterior means), `difference` (other less primary), `in_sd` (in posterior standard
        deviations of the primary model), `width_ratio` (width of the interval over the primary's) and, where
        it is known, `truth` with `error_primary` and `error_other`. No rows with one model.
    """
    first, *others = results
    tables = []
    for name in others:
        for grouping in spec.groupings():
            table = spec.table_name(grouping)
            if table not in results[first].estimates or table not in results[name].estimates:
                continue
            one, other = (results[model].estimates[table] for model in (first, name))
            keys = [key for key in (*grouping, "answer") if key in one]
            both = (
                one.merge(other, on=keys, suffixes=("", "_other"), validate="1:1")
                if keys
                else one.join(other.add_suffix("_other"))
            )
            found = pd.DataFrame({"model": name, "grouping": table}, index=both.index)
            found["group"] = both[list(grouping)].agg(" / ".join, axis=1) if grouping else "all"
            if "answer" in both:
                found["answer"] = both["answer"]
            found["n_survey"] = both["n_survey"]
            found["primary"], found["other"] = both["mean"], both["mean_other"]
            found["difference"] = both["mean_other"] - both["mean"]
            found["in_sd"] = found["difference"] / both["sd"].replace(0, np.nan)
            width = both["upper"] - both["lower"]
            found["width_ratio"] = (both["upper_other"] - both["lower_other"]) / width.replace(0, np.nan)
            if "truth" in both:
                found["truth"] = both["truth"]
                found["error_primary"], found["error_other"] = (
                    both[column] - both["truth"] for column in ("mean", "mean_other")
                )
            tables.append(found)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["model", "grouping"])
