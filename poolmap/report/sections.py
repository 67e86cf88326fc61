"""The sections of an analysis's page: which views stand where, under which heading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from poolmap.contracts import EVERY_MODEL, Block, ReportTable
from poolmap.report.content import AnalysisPage, ModelSection
from poolmap.report.views import Cell, TableView, Views, cell_text, duration, listed, relative_href

SETTINGS = {
    "seed": "Random seed",
    "chains": "Chains",
    "warmup": "Warm-up iterations per chain",
    "draws": "Draws kept per chain",
    "adapt_delta": "Target acceptance (adapt_delta)",
    "max_treedepth": "Maximum treedepth",
    "interval": "Level of posterior intervals",
    "on_failed_checks": "When checks fail",
}


COMPARISON = {
    "model": "Model",
    "unit": "Left out",
    "n": "Number",
    "elpd_loo": "elpd",
    "se": "SE",
    "p_loo": "Effective parameters",
    "n_high_k": "Unreliable (Pareto k > 0.7)",
    "elpd_diff": "Difference",
    "se_diff": "SE of difference",
}
COMPARISON_CAPTION = (
    "The models compared by the expected log predictive density of left-out data (elpd; higher is better), "
    "and its difference from the primary model's. A difference below about 4, or below about twice its "
    "standard error, does not tell two models apart (Sivula, Magnusson & Vehtari 2020, arXiv:2008.10296). "
    "Numbers: comparison.csv."
)
DENSITIES = ("elpd_loo", "se", "p_loo", "elpd_diff", "se_diff")


@dataclass(frozen=True)
class Section:
    """A section of the page: its anchor, its heading, and its parts in order.

    Attributes:
        anchor: the id it is linked by.
        title: the heading.
        parts: views, or further sections one level down.
    """

    anchor: str
    title: str
    parts: list = field(default_factory=list)
    kind: str = "section"


def sections_of(page: AnalysisPage, views: Views) -> list[Section]:
    """The sections that have something to show, in order."""
    found = [
        _results(page, views),
        _data(page, views),
        _methods(page, views),
        _comparison(page, views),
        _checks(page, views),
        Section("checklists", "Reporting checklists", views.blocks(page.checklists)),
        _reproducibility(page, views),
    ]
    return [section for section in found if section.parts]


def _results(page: AnalysisPage, views: Views) -> Section:
    findings = [block for block in page.findings if not _of_another(block, page)]
    opening = next(
        (place for place, block in enumerate(findings) if not isinstance(block, str)), len(findings)
    )
    figures = [figure for figure in page.figures if figure.model == page.primary.name]
    parts = views.blocks(_warnings(page) + findings[:opening])
    parts += [views.figure(figure) for figure in figures[:1]]
    parts += views.blocks(findings[opening:], page.primary.name)
    if figures[1:]:
        further = [views.figure(figure) for figure in figures[1:]]
        parts.append(Section("further-figures", "Further figures", further))
    return Section("results", "Results", parts)


def _of_another(block: Block, page: AnalysisPage) -> bool:
    """Whether a finding is a table of another model than the primary one: it stands with that model."""
    others = {model.name for model in page.models if model is not page.primary}
    return isinstance(block, ReportTable) and block.model in others


def _warnings(page: AnalysisPage) -> list[str]:
    """What must be said before any number of a failed model appears in a sentence."""
    failed = [model.name for model in page.models if not model.passed]
    if not failed:
        return []
    which = f"model {failed[0]}" if len(failed) == 1 else f"models {listed(failed)}"
    return [f"DO NOT USE the numbers of {which}, in the text, the tables and the figures: the fit failed."]


def _data(page: AnalysisPage, views: Views) -> Section:
    parts = views.blocks(page.describe)
    parts += [views.figure(figure) for figure in page.figures if not figure.model]
    rows = len(page.exclusions)
    if rows:
        counted = "One row of the input was" if rows == 1 else f"{rows:,} rows of the input were"
        parts += views.blocks([f"{counted} left out of the analysis, for the reasons given here."])
        frame = page.exclusions.rename(
            columns={"file": "File", "row": "Line", "id": "Identifier", "reason": "Reason"}
        )
        parts.append(views.frame(frame, "Rows left out of the analysis.", numeric=["Line"]))
    else:
        parts += views.blocks(["No row of the input was left out."])
    return Section("data", "Data", parts)


def _methods(page: AnalysisPage, views: Views) -> Section:
    return Section(
        "methods",
        "Methods",
        [
            Section(f"methods-{place}", _model_title(model, page), views.blocks(model.methods, model.name))
            for place, model in enumerate(page.models, 1)
        ],
    )


def _comparison(page: AnalysisPage, views: Views) -> Section:
    parts = []
    if page.comparison is not None:
        parts += views.blocks(page.comparison_notes)
        numeric = [COMPARISON.get(name, name) for name in page.comparison.columns[1:] if name != "unit"]
        stamp = views.stamps.get(EVERY_MODEL)
        parts.append(views.frame(_one_decimal(page.comparison), COMPARISON_CAPTION, numeric, stamp))
    parts += [views.figure(figure) for figure in page.figures if figure.model == EVERY_MODEL]
    for place, model in enumerate(page.models, 1):
        if model is page.primary:
            continue
        own = views.blocks(
            [b for b in page.findings if isinstance(b, ReportTable) and b.model == model.name], model.name
        )
        own += [views.figure(figure) for figure in page.figures if figure.model == model.name]
        if own:
            parts.append(Section(f"further-{place}", f"Results of model {model.name}", own))
    title = "Model comparison" if page.comparison is not None else "Further models"
    return Section("comparison", title, parts)


def _one_decimal(comparison: pd.DataFrame) -> pd.DataFrame:
    """The comparison as text: densities with one decimal, no difference of the first model from itself."""
    frame = comparison.copy()
    for name in DENSITIES:
        if name in frame:
            told = ["–" if pd.isna(value) else f"{value:.1f}" for value in frame[name]]
            frame[name] = ["–", *told[1:]] if name in ("elpd_diff", "se_diff") else told
    return frame.rename(columns=COMPARISON)


def _checks(page: AnalysisPage, views: Views) -> Section:
    section = Section("checks", "Checks")
    for place, model in enumerate(page.models, 1):
        parts = [*views.blocks(_verdict(model)), _check_table(model, views)]
        attempts = model.checks.get("attempts") or []
        own = bool(attempts) and attempts[0].get("warmup") != page.settings.get("warmup")
        if len(attempts) > 1 or own:
            parts.append(_attempt_table(model, attempts, views, own=own))
        parts += [
            views.figure(figure)
            for figure in page.check_figures
            if figure.model == model.name or (not figure.model and model is page.primary)
        ]
        parts += views.blocks(model.predictive, model.name)
        section.parts.append(Section(f"checks-{place}", _model_title(model, page), parts))
    return section


def _verdict(model: ModelSection) -> list[str]:
    chains, draws = model.checks.get("n_chains"), model.checks.get("n_draws")
    basis = f", with {chains} chains of {draws:,} draws each" if chains and draws else ""
    if model.passed:
        return [f"The fit passed all checks{basis}."]
    advice = [f"{check['label']}: {check['advice']}" for check in model.failed_checks if check.get("advice")]
    return [f"The fit failed its checks{basis}: do not use its results.", *advice]


def _check_table(model: ModelSection, views: Views) -> TableView:
    headings = [
        Cell("Check"),
        Cell("Criterion"),
        Cell("Worst value", numeric=True),
        Cell("Found in"),
        Cell("Verdict"),
    ]
    rows = [
        [
            Cell(check["label"], header=True),
            Cell(check["criterion"]),
            Cell(_worst(check["worst"], 3 if check["name"] == "rhat" else None), numeric=True),
            Cell(check["where"] or "–"),
            Cell("Passed", verdict="passed") if check["passed"] else Cell("Failed", verdict="failed"),
        ]
        for check in model.checks["checks"]
    ]
    return views.table(headings, rows, f"Checks of the fit of model {model.name}.")


def _worst(value: float | None, places: int | None) -> str:
    """A check's worst value: sample sizes as whole numbers."""
    if places is not None and value is not None:
        return f"{value:.{places}f}"
    return f"{value:,.0f}" if value is not None and abs(value) >= 100 else cell_text(value)


def _attempt_table(
    model: ModelSection, attempts: Sequence[Mapping[str, Any]], views: Views, *, own: bool
) -> TableView:
    """The settings and outcome of each attempt; own: the first did not take those of the config."""
    headings = [
        Cell("Attempt", numeric=True),
        Cell("Target acceptance", numeric=True),
        Cell("Warm-up", numeric=True),
        Cell("Draws", numeric=True),
        Cell("Time", numeric=True),
        Cell("Outcome"),
    ]
    rows = []
    for place, attempt in enumerate(attempts, 1):
        failed = listed(list(attempt.get("failed") or []))
        rows.append(
            [
                Cell(str(place), numeric=True),
                Cell(cell_text(attempt.get("adapt_delta")), numeric=True),
                Cell(cell_text(attempt.get("warmup")), numeric=True),
                Cell(cell_text(attempt.get("draws")), numeric=True),
                Cell(duration(attempt.get("seconds")), numeric=True),
                Cell("Passed", verdict="passed")
                if attempt["passed"]
                else Cell(f"Failed: {failed}" if failed else "Failed", verdict="failed"),
            ]
        )
    caption = f"Attempts to fit model {model.name}; the last one is reported."
    if own:
        caption += (
            " It is sampled in whitened coordinates, which need a shorter warm-up and a lower target "
            "acceptance than the settings below ask for."
        )
    return views.table(headings, rows, caption)


def _reproducibility(page: AnalysisPage, views: Views) -> Section:
    settings = {
        SETTINGS.get(key, key.replace("_", " ").capitalize()): page.settings[key] for key in page.settings
    }
    parts = [
        pairs(views, settings, ("Setting", "Value"), "Settings."),
        pairs(views, page.software, ("Software", "Version"), "Software."),
    ]
    if page.inputs:
        parts.append(
            views.table(
                [Cell("Input file"), Cell("Bytes", numeric=True), Cell("SHA-256")],
                [
                    [
                        Cell(item["path"], header=True, code=True),
                        Cell(f"{int(item['bytes']):,}", numeric=True),
                        Cell(item["sha256"], code=True),
                    ]
                    for item in page.inputs
                ],
                "Input files and their checksums.",
            )
        )
    if page.run_times:
        total = duration(sum(float(item["seconds"]) for item in page.run_times))
        parts.append(
            views.table(
                [
                    Cell("Step"),
                    Cell("Model"),
                    Cell("Time", numeric=True),
                    Cell("Peak memory (MB)", numeric=True),
                ],
                [
                    [
                        Cell(item["step"], header=True),
                        Cell(item.get("model") or "–"),
                        Cell(duration(float(item["seconds"])), numeric=True),
                        Cell(_megabytes(item.get("max_rss_mb")), numeric=True),
                    ]
                    for item in page.run_times
                ],
                f"Time and memory of each step; {total} in all.",
            )
        )
    if page.files:
        parts.append(
            views.table(
                [Cell("File"), Cell("Contents")],
                [
                    [
                        Cell(item["path"], header=True, code=True, href=relative_href(item["path"])),
                        Cell(item["description"]),
                    ]
                    for item in page.files
                ],
                "Files of results beside this page.",
            )
        )
    parts.append({"kind": "code", "title": "Configuration", "text": page.config_yaml.rstrip()})
    return Section("reproducibility", "Reproducibility", parts)


def pairs(views: Views, items: Mapping[str, Any], headings: tuple[str, str], caption: str) -> TableView:
    """A table of two columns."""
    rows = [[Cell(str(key), header=True), Cell(cell_text(value))] for key, value in items.items()]
    return views.table([Cell(heading) for heading in headings], rows, caption)


def _megabytes(value: Any) -> str:
    text = cell_text(value)
    try:
        return f"{float(value):,.0f}" if text != "–" else text
    except ValueError:
        return text


def _model_title(model: ModelSection, page: AnalysisPage) -> str:
    return f"Model {model.name}" + (" (primary)" if model is page.primary and len(page.models) > 1 else "")
