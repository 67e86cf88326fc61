"""What the report says about neighbours: spatial autocorrelation before and after, other graphs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from poolmap.contracts import Block, ModelResult, ReportTable
from poolmap.families.areas.autocorrelation import AFTER, ESTIMATE, LEVEL, LOG_SIR, LOGIT, STANDARDISED
from poolmap.families.areas.scales import CERTAIN, Scale
from poolmap.families.areas.words import counted, listed, probability
from poolmap.graph.candidates import CHOSEN

_VALUES = {
    LOG_SIR: "log of the raw ratio",
    LOGIT: "logit of the raw proportion",
    ESTIMATE: "direct estimate",
    STANDARDISED: "raw value, standardised for what is at risk (Assunção and Reis 1999)",
    AFTER: "residual of the model",
}


def before_of(values: Iterable[str]) -> str:
    """The value that stands for the data as observed."""
    return STANDARDISED if STANDARDISED in set(values) else ESTIMATE


def certified(results: Mapping[str, ModelResult]) -> ModelResult | None:
    """The first model that was refitted on other graphs."""
    return next((result for result in results.values() if "graph_candidates" in result.companions), None)


def neighbour_blocks(scale: Scale, threshold: float, results: Mapping[str, ModelResult]) -> list[Block]:
    """Sentences and tables on spatial autocorrelation (primary model) and on the choice of the graph."""
    primary = next(iter(results.values()))
    blocks: list[Block] = []
    if "moran" in primary.companions:
        blocks += _autocorrelation(primary)
    result = certified(results)
    if result is not None:
        blocks += _graphs(f"P({scale.symbol} > {threshold:g})", result)
    return blocks


def _autocorrelation(result: ModelResult) -> list[Block]:
    table = result.companions["moran"]
    rows = table.set_index("value")
    before, after = rows.loc[before_of(table["value"])], rows.loc[AFTER]
    blocks: list[Block] = []
    if not np.isnan(before["moran_i"]) and not np.isnan(after["moran_i"]):
        alike = "are alike" if before["p"] < LEVEL and before["z"] > 0 else "are not shown to be alike"
        if after["p"] >= LEVEL:
            rest = "no pattern between neighbours is seen in what the model leaves over"
        elif after["z"] > 0:
            rest = "neighbours are still alike in what it leaves over: it does not take up the whole pattern"
        else:
            rest = (
                "neighbours now differ more than by chance, as is usual where each area's effect is fitted "
                "to its own data"
            )
        what = _VALUES[str(before.name)].partition(",")[0]
        blocks.append(
            f"Neighbouring areas {alike}: Moran's I of the {what} is {_moran(before)}. Of the residuals of "
            f"the model {result.name} it is {_moran(after)}: {rest}. The second p is a guide only, since the "
            "model was fitted to the same data."
        )
    frame = pd.DataFrame(
        {
            "value": [_VALUES[value] for value in table["value"]],
            "areas": [f"{n:,}" for n in table["areas"]],
            "Moran's I": [_number(v, ".3f") for v in table["moran_i"]],
            "expected": [_number(v, ".3f") for v in table["expected"]],
            "SD": [_number(v, ".3f") for v in table["sd"]],
            "z": [_number(v, ".2f") for v in table["z"]],
            "p": ["" if np.isnan(v) else probability(v) for v in table["p"]],
        }
    )
    caption = (
        "Spatial autocorrelation before and after the model: Moran's I on the graph, with row-standardised "
        "weights. Expected, SD: where all orders of the values are equally likely. p: two-sided, normal "
        "approximation. Residuals are in Poisson, binomial or sampling standard deviations (Pearson)."
    )
    return [*blocks, ReportTable(frame, caption, frame.columns[1:].tolist(), result.name)]


def _graphs(about: str, result: ModelResult) -> list[Block]:
    table, conclusions = result.companions["graph_candidates"], result.companions["graph_conclusions"]
    others = table[table["graph"] != CHOSEN]
    chosen = conclusions[conclusions["graph"] == CHOSEN]
    gap = float((chosen["drawn"] - chosen["probability"]).abs().max())
    astray = int(((chosen["drawn"] > CERTAIN) != (chosen["probability"] > CERTAIN)).sum())
    changed = conclusions[conclusions["changed"].astype(str) == "True"]
    names = list(dict.fromkeys(changed["name"]))
    fitted, unfitted = (others["graph"][others["above"].notna() == told].tolist() for told in (True, False))
    text = ""
    if fitted:
        text = (
            f"The choice of the graph was put to the test: the model {result.name} was refitted on the "
            f"graphs of {counted(len(fitted), 'other rule')} ({'; '.join(fitted)}). "
        )
    if unfitted:
        text += (
            "By other rules no area has a neighbour, or the priors do not fit the graph: "
            f"{'; '.join(unfitted)}. "
        )
    if not fitted:
        return [text.strip(), _candidates_table(about, table, result.name)]
    if names:
        verb = "passes or leaves" if len(names) == 1 else "pass or leave"
        text += (
            f"With at least one of them {counted(len(names), 'area')} {verb} the bound of {about} > "
            f"{CERTAIN:g}: {listed(names)}. "
        )
    else:
        text += f"With each of them the same areas have {about} > {CERTAIN:g}. "
    if "rho" in table and table["rho"].notna().any():
        text += f"rho lies between {table['rho'].min():.2f} and {table['rho'].max():.2f}. "
    text += (
        "These refits do not sample: they use a deterministic approximation (nested Laplace with a "
        f"variational correction). On the chosen graph its {about} differs from that of the draws by at "
        f"most {gap:.3f}, the Monte Carlo error of the draws included; "
        + {0: "no area lies", 1: "1 area lies"}.get(astray, f"{astray} areas lie")
        + " on the other side of the bound."
    )
    blocks: list[Block] = [text, _candidates_table(about, table, result.name)]
    if names:
        blocks.append(_changed_table(about, table, conclusions, names, result.name))
    return blocks


def _candidates_table(about: str, table: pd.DataFrame, model: str) -> ReportTable:
    frame = pd.DataFrame(
        {
            "graph": table["graph"],
            "neighbours are": table["rule"],
            "pairs": [f"{v:,}" for v in table["pairs"]],
            "gained": [f"{v:,}" for v in table["gained"]],
            "lost": [f"{v:,}" for v in table["lost"]],
            "components": [f"{v:,}" for v in table["components"]],
            "areas alone": [f"{v:,}" for v in table["alone"]],
            "sigma": [_number(v, ".2f") for v in table["sigma"]],
            "rho": [_number(v, ".2f") for v in table["rho"]],
            "areas above": [_number(v, ",.0f") for v in table["above"]],
            "changed": [_number(v, ",.0f") for v in table["changed"]],
            "largest change": [_number(v, ".3f") for v in table["largest_change"]],
        }
    )
    caption = (
        "The chosen graph and others. Gained, lost: pairs against the chosen graph. sigma, rho: posterior "
        f"means by the deterministic approximation. Areas above: with {about} > {CERTAIN:g}; changed: areas "
        f"for which that is not as with the chosen graph; largest change of {about} in an area."
    )
    return ReportTable(frame, caption, frame.columns[2:].tolist(), model)


def _changed_table(
    about: str, table: pd.DataFrame, conclusions: pd.DataFrame, names: list[str], model: str
) -> ReportTable:
    wide = conclusions.pivot(index="area", columns="graph", values="probability")
    graphs = [graph for graph in table["graph"] if graph in wide]
    area_of = conclusions[conclusions["name"].isin(names)].drop_duplicates("area").set_index("area")["name"]
    kept = [area for area in area_of.index if len(set(wide.loc[area, graphs] > CERTAIN)) > 1]
    frame = pd.DataFrame({"area": [area_of[area] for area in kept]})
    for graph in graphs:
        frame[graph] = [probability(wide.at[area, graph]) for area in kept]
    caption = f"{about} by graph, for the areas whose conclusion is not the same with all of them."
    return ReportTable(frame, caption, graphs, model)


def _moran(row: pd.Series) -> str:
    p = probability(row["p"])
    return f"{row['moran_i']:.2f} (p {p})" if p[0] in "<>" else f"{row['moran_i']:.2f} (p = {p})"


def _number(value: float, form: str) -> str:
    return "" if np.isnan(value) else format(value, form)
