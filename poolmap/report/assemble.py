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

import pandas as pd

import poolmap
from poolmap.config.base import Analysis
from poolmap.contracts import Dataset, ModelResult, NamedFigure
from poolmap.families import door, has_door
from poolmap.figures.predictive import plural
from poolmap.figures.style import not_drawn, save_figure
from poolmap.files import read_json
from poolmap.inference.checks import failures
from poolmap.inference.predictive import compare
from poolmap.report.content import AnalysisPage, EmbeddedFigure, IndexEntry, ModelSection, Unfinished
from poolmap.report.page import render_analysis, render_index
from poolmap.report.predictive_check import NOTHING_EXACT, predictive_figure, statistics_table

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
    checks = [predictive_figure(r, spec.interval) for r in results.values() if len(r.predictive)]
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
                [statistics_table(result, spec.interval)] if len(result.predictive) else [NOTHING_EXACT],
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
