"""From the files of a finished analysis to its page: calls the family's doors, draws, embeds, renders."""

from __future__ import annotations

import csv
import platform
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import poolmap
from poolmap.config.base import Analysis
from poolmap.contracts import Dataset, ModelResult, NamedFigure, ReportTable
from poolmap.families import door, has_door
from poolmap.figures.predictive import draw_predictive, plural
from poolmap.figures.style import not_drawn, save_figure
from poolmap.files import read_json
from poolmap.inference.checks import failures
from poolmap.inference.predictive import compare
from poolmap.report.content import AnalysisPage, EmbeddedFigure, IndexEntry, ModelSection, Unfinished
from poolmap.report.page import render_analysis, render_index
from poolmap.report.views import listed

PACKAGES = (
    "snakemake", "cmdstanpy", "arviz", "numpy", "scipy", "pandas", "pydantic",
    "geopandas", "libpysal", "formulae", "matplotlib",
)  # fmt: skip
# what the files of an analysis are, by the end of their path
FILE_DESCRIPTIONS = {
    "exclusions.csv": "rows of the input that were left out, with the reason",
    "facts.json": "what the checks of the input found",
    "provenance.json": "SHA-256 of each input file",
    "graph.json": "areas, edges, components and scaling factors of the graph",
    "comparison.csv": "models side by side",
    "stan_data.json": "the data that Stan was given",
    "posterior.nc": "the draws of the sampled parameters (InferenceData in NetCDF)",
    "left_out.json": "leave-one-out densities by refitting, where importance sampling is unreliable",
    "checks.json": "the verdict on the fit, and every figure behind it",
    "dictionary.json": "what each quantity and column of the tables means",
    "predictive.csv": "observed data beside their posterior predictive distribution",
    "predictive_statistics.csv": "statistics of the data beside their predictive distribution",
    "loo.json": "leave-one-out predictive density, pointwise",
    "DO_NOT_USE.txt": "why these estimates must not be used",
}


# what an observation of the predictive check is, where its name does not say it
MEANT = {
    "cell": " (a cell: the respondents who are alike in every variable of the formula)",
    "answer count": " (how many respondents of a cell gave an answer; a cell: the respondents who are alike "
    "in every variable of the formula)",
}

NOTHING_EXACT = (
    "There is no posterior predictive check: nothing was observed exactly, only ranges are known, and "
    "replicates cannot be compared with them."
)


@dataclass(frozen=True)
class AssembledReport:
    """One analysis's page, the comparison of its models, and what the index needs of it."""

    html: str
    comparison: pd.DataFrame
    summary: dict[str, Any]


def assemble_analysis(
    name: str,
    spec: Analysis,
    data: Dataset,
    results: Mapping[str, ModelResult],
    folder: Path,
    figures_folder: Path,
    config_title: str,
) -> AssembledReport:
    """Draw the figures into `figures_folder`, compare the models, render the page.

    Args:
        name: the analysis's name.
        spec: its section of the config, defaults filled in.
        data: its dataset, with geometry and graph where it has them.
        results: its models' results, the primary model first.
        folder: its folder in the results; files in it are listed, run times read from it.
        figures_folder: where the figures are written, as SVG, PNG and PDF.
        config_title: heading of the whole config.
    """
    primary = next(iter(results))
    drawn = door(spec.family, "figures")(spec, data, results)
    checks = [_predictive_figure(r, spec.interval) for r in results.values() if len(r.predictive)]
    figures = [_embed(figure, figures_folder) for figure in drawn]
    check_figures = [_embed(figure, figures_folder) for figure in checks]
    loo = {model: read_json(folder / model / "estimates" / "loo.json") for model in results}
    comparison, notes = compare(loo)
    notes = [_how_left_out(loo), *notes]
    findings = door(spec.family, "findings")(spec, data, results)
    methods = door(spec.family, "methods")
    checklists = []
    if has_door(spec.family, "checklists"):
        checklists = door(spec.family, "checklists")(spec, data, results, drawn)
    page = AnalysisPage(
        name=name,
        family=spec.family,
        title=spec.title,
        question=spec.question,
        config_title=config_title,
        describe=door(spec.family, "describe")(spec, data),
        exclusions=data.exclusions,
        models=[
            ModelSection(
                model,
                model == primary,
                methods(spec, model, data),
                result.checks,
                [_statistics_table(result, spec.interval)] if len(result.predictive) else [NOTHING_EXACT],
            )
            for model, result in results.items()
        ],
        findings=findings,
        figures=figures,
        check_figures=check_figures,
        settings={
            "seed": spec.seed,
            **spec.sampling.model_dump(),
            "interval": spec.interval,
            "on_failed_checks": spec.on_failed_checks,
        },
        software=_software(results[primary].checks),
        inputs=read_json(folder / "data" / "provenance.json"),
        run_times=_run_times(folder),
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        files=_files(folder, results),
        config_yaml=_as_yaml(name, spec),
        comparison=comparison if len(results) > 1 else None,
        comparison_notes=notes,
        checklists=checklists,
        index_href="../report.html",
    )
    of_primary = [figure for figure in figures if figure.model == primary] or figures
    summary = {
        "name": name,
        "title": spec.title,
        "family": spec.family,
        "headline": next((block for block in findings if isinstance(block, str)), ""),
        "failed": {model: failures(r.checks) for model, r in results.items() if not r.passed},
        "primary": primary,
        "figure": {k: v for k, v in asdict(of_primary[0]).items() if k not in ("svg", "png")}
        if of_primary
        else None,
    }
    return AssembledReport(html=render_analysis(page), comparison=comparison, summary=summary)


def assemble_index(
    title: str, summaries: Sequence[Mapping[str, Any]], folder: Path, unfinished: Unfinished | None = None
) -> str:
    """The index page over all analyses.

    Args:
        title: the config's title.
        summaries: `AssembledReport.summary` of each analysis, in the order of the config.
        folder: the results folder.
        unfinished: what is missing, where the run did not come to its end.
    """
    entries = []
    for item in summaries:
        figure = None
        if item["figure"]:
            svg = folder / item["name"] / "figures" / f"{item['figure']['name']}.svg"
            figure = EmbeddedFigure(
                **item["figure"], svg=svg.read_text("utf-8"), png=svg.with_suffix(".png").read_bytes()
            )
        entries.append(
            IndexEntry(
                name=item["name"],
                title=item["title"],
                family=item["family"],
                href=f"{item['name']}/report.html",
                headline=item["headline"],
                passed=not item["failed"],
                failed_models=list(item["failed"]),
                figure=figure,
                primary=item["primary"],
            )
        )
    created = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return render_index(
        title, entries, software=_software({}), created=created, seconds=None, unfinished=unfinished
    )


def _embed(item: NamedFigure, folder: Path) -> EmbeddedFigure:
    svg, png, _ = save_figure(item.figure, folder / item.name)
    return EmbeddedFigure(
        name=item.name,
        title=item.title,
        caption=f"{item.caption} {not_drawn(item.figure)}".strip(),
        alt=item.alt,
        model=item.model,
        svg=svg.read_text("utf-8"),
        png=png.read_bytes(),
    )


def _predictive_figure(result: ModelResult, interval: float) -> NamedFigure:
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


def _statistics_table(result: ModelResult, interval: float) -> ReportTable:
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


def _how_left_out(loo: Mapping[str, Mapping[str, Any]]) -> str:
    """By which method each model's leave-one-out density was had."""
    told = []
    for model, item in loo.items():
        counts = Counter(item["method"])
        total, unit = len(item["method"]), item["unit"]
        if counts["exact"] == total:
            told.append(f"{model}, exact")
        elif counts["refit"]:
            told.append(f"{model}, {counts['refit']} of {total} {plural(unit)} by refitting without them")
    text = "Leave-one-out is by Pareto-smoothed importance sampling of the draws (Vehtari et al. 2017)"
    integrated = {item["integrated"] for item in loo.values() if item["integrated"]}
    if integrated:
        text += f", {' or '.join(sorted(integrated))} integrated out"
    return f"{text}, but for: {'; '.join(told)}." if told else f"{text}."


def _software(verdict: Mapping[str, Any]) -> dict[str, str]:
    """Versions, with the toolchain and the sampler of a fit; without them where the verdict is empty."""
    found = {"poolmap": poolmap.__version__, "Python": platform.python_version()}
    if toolchain := verdict.get("toolchain"):
        source = {"cmdstan": "an installed CmdStan", "wheel": "built from a PyPI wheel"}[toolchain["kind"]]
        found["Stan"] = f"{toolchain['stan_version']} ({source})"
        found["C++ compiler"] = toolchain["compiler"]
    own = [sampler] if (sampler := verdict.get("sampler", "stan")) != "stan" else []
    return {**found, **{package: version(package) for package in (*own, *PACKAGES)}}


def _run_times(folder: Path) -> list[dict[str, Any]]:
    """Seconds and largest memory of each job of the analysis, as Snakemake measured them."""
    found = []
    for path in sorted(folder.rglob("*.benchmark.tsv"), key=lambda p: p.stat().st_mtime):
        row = next(csv.DictReader(path.open(encoding="utf-8"), delimiter="\t"), None)
        if row:
            model = path.parent.name if path.parent != folder else ""
            step = path.name.removesuffix(".benchmark.tsv")
            memory = float(row["max_rss"]) if row["max_rss"] not in ("-", "NA", "") else None
            found.append({"step": step, "model": model, "seconds": float(row["s"]), "max_rss_mb": memory})
    return found


def _files(folder: Path, results: Mapping[str, ModelResult]) -> list[dict[str, str]]:
    """The files worth naming, with what they hold: companion tables as their dictionary has it."""
    found = []
    beside = {model: result.dictionary.get("companions", {}) for model, result in results.items()}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.name
        if name.startswith(".") or path.suffix == ".log" or name.endswith((".benchmark.tsv", ".part")):
            continue
        if name in FILE_DESCRIPTIONS:
            words = FILE_DESCRIPTIONS[name]
        elif path.parent.name == "estimates" and path.stem in beside.get(path.parents[1].name, {}):
            words = re.split("[:;] ", beside[path.parents[1].name][path.stem])[0]
        elif path.parent.name == "estimates":
            beyond = {".gpkg": ", with polygons", ".qml": ", style for QGIS, which takes it up by itself"}
            words = f"estimates: {path.stem.replace('_', ' ')}{beyond.get(path.suffix, '')}"
        elif path.parent.name == "data":
            words = f"checked input: {path.stem}"
        else:
            continue
        found.append({"path": path.relative_to(folder).as_posix(), "description": words})
    return found


def _as_yaml(name: str, spec: Analysis) -> str:
    from ruamel.yaml import YAML

    out = StringIO()
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.dump({name: spec.view("report")}, out)
    return out.getvalue()
