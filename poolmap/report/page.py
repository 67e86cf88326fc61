"""From a finished analysis to one self-contained HTML page, and from all of them to an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolmap.contracts import EVERY_MODEL, Block
from poolmap.report.views import (
    Cell,
    Stamp,
    TableView,
    Views,
    cell_text,
    duration,
    listed,
    relative_href,
)

if TYPE_CHECKING:
    import jinja2
    import pandas as pd

FAMILIES = {
    "meta": "Meta-analysis",
    "areas": "Disease map",
    "mrp": "Multilevel regression and poststratification",
}
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
    "n_high_k": "Pareto k > 0.7",
    "elpd_diff": "Difference",
    "se_diff": "SE of difference",
}
COMPARISON_CAPTION = (
    "The models compared by the expected log predictive density of left-out data (elpd, by PSIS "
    "leave-one-out; higher is better), and its difference from the primary model's."
)


@dataclass(frozen=True)
class ModelSection:
    """One fitted model of an analysis.

    Attributes:
        name: its name in the config.
        primary: whether the findings are its.
        methods: what was done, in words, equations and tables of priors.
        checks: the gate's verdict, as it stands in checks.json.
        predictive: blocks on the posterior predictive check, shown after its figure.
    """

    name: str
    primary: bool
    methods: Sequence[Block]
    checks: Mapping[str, Any]
    predictive: Sequence[Block] = ()

    @property
    def passed(self) -> bool:
        """Whether the fit passed the gate."""
        return bool(self.checks["passed"])

    @property
    def failed_checks(self) -> list[Mapping[str, Any]]:
        """The checks that failed, where the gate did not pass."""
        return [] if self.passed else [check for check in self.checks["checks"] if not check["passed"]]

    @property
    def stamp(self) -> Stamp | None:
        """What its tables and figures are stamped with, where the gate did not pass."""
        if self.passed:
            return None
        labels = [check["label"] for check in self.failed_checks]
        return Stamp(f"the fit of model {self.name} failed {listed(labels) or 'its checks'}")


@dataclass(frozen=True)
class EmbeddedFigure:
    """A figure with its words, as files' contents.

    Attributes:
        name: file name without ending.
        title, caption, alt: as in `contracts.NamedFigure`.
        model: the model whose estimates it draws; `EVERY_MODEL`; "" where it draws data only.
        svg: the SVG file's text.
        png: the PNG file's bytes, used where there is no SVG or it is over 600 kB.
    """

    name: str
    title: str
    caption: str
    alt: str
    model: str = ""
    svg: str | None = None
    png: bytes | None = None

    def __post_init__(self) -> None:
        if self.svg is None and self.png is None:
            raise ValueError(f"figure {self.name}: neither SVG nor PNG")
        if not self.alt.strip():
            raise ValueError(f"figure {self.name}: no alt text")


@dataclass(frozen=True)
class AnalysisPage:
    """All that one analysis's page shows.

    Attributes:
        name, family, title, question: of the analysis, as in the config.
        config_title: the title of the whole config.
        describe: blocks on the data.
        exclusions: rows left out, columns `file, row, id, reason`.
        models: the fitted models.
        findings: blocks on the results; tables without a model are the primary model's.
        figures: of the data (model "") and of the models, in the order shown.
        settings: sampling and reporting settings by key.
        software: versions by name.
        inputs: one dict an input file: `path, sha256, bytes`.
        run_times: one dict a job: `step, model, seconds, max_rss_mb`.
        created: when, as text.
        files: the results files, one dict each: `path` (relative to the page) and `description`.
        config_yaml: the analysis's section of the config.
        comparison: the models side by side.
        comparison_notes: how to read the comparison.
        check_figures: figures that belong to the checks (posterior predictive ...).
        checklists: blocks on reporting guidelines, filled in.
        index_href: relative link to the index page; "" for none.
    """

    name: str
    family: str
    title: str
    question: str
    config_title: str
    describe: Sequence[Block]
    exclusions: pd.DataFrame
    models: Sequence[ModelSection]
    findings: Sequence[Block]
    figures: Sequence[EmbeddedFigure]
    settings: Mapping[str, Any]
    software: Mapping[str, str]
    inputs: Sequence[Mapping[str, Any]]
    run_times: Sequence[Mapping[str, Any]]
    created: str
    files: Sequence[Mapping[str, str]]
    config_yaml: str
    comparison: pd.DataFrame | None = None
    comparison_notes: Sequence[str] = ()
    check_figures: Sequence[EmbeddedFigure] = ()
    checklists: Sequence[Block] = ()
    index_href: str = ""

    @property
    def primary(self) -> ModelSection:
        """The model the findings are of."""
        return next((model for model in self.models if model.primary), self.models[0])


@dataclass(frozen=True)
class IndexEntry:
    """One analysis in the index.

    Attributes:
        name, title, family: of the analysis.
        href: relative link to its page.
        headline: first sentence of the findings.
        passed: whether all its models passed the gate.
        failed_models: names of those that did not.
        figure: its first figure.
        primary: name of the primary model; "" where unknown: then any failed model stamps the headline.
    """

    name: str
    title: str
    family: str
    href: str
    headline: str
    passed: bool
    failed_models: Sequence[str] = ()
    figure: EmbeddedFigure | None = None
    primary: str = ""


@dataclass(frozen=True)
class Unfinished:
    """What the index tells of a run that did not come to its end.

    Attributes:
        missing: title and family of each analysis that is not finished.
        failures: what failed, and why; none where the run was broken off.
        earlier: title and relative link of each page in the folder that is of no analysis of this run.
    """

    missing: Sequence[tuple[str, str]]
    failures: Sequence[tuple[str, str]] = ()
    earlier: Sequence[tuple[str, str]] = ()


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


def render_analysis(page: AnalysisPage) -> str:
    """The page of one analysis as HTML: no script, and nothing that is fetched.

    Raises:
        ValueError: an equation or figure that cannot be shown, or an unknown family.
    """
    _family(page.family)
    stamps = {model.name: model.stamp for model in page.models if model.stamp}
    if stamps:
        stamps[EVERY_MODEL] = Stamp("; ".join(stamp.why for stamp in stamps.values()))
    views = Views(stamps)
    sections = [
        _results(page, views),
        _data(page, views),
        _methods(page, views),
        _comparison(page, views),
        _checks(page, views),
        Section("checklists", "Reporting checklists", views.blocks(page.checklists)),
        _reproducibility(page, views),
    ]
    return (
        _templates()
        .get_template("analysis.html.j2")
        .render(
            page=page,
            family=_family(page.family),
            failed=[model for model in page.models if not model.passed],
            sections=[section for section in sections if section.parts],
            index_href=relative_href(page.index_href),
            cell_text=cell_text,
            poolmap_version=page.software.get("poolmap", ""),
        )
    )


def render_index(
    title: str,
    entries: Sequence[IndexEntry],
    *,
    software: Mapping[str, str],
    created: str,
    seconds: float | None = None,
    unfinished: Unfinished | None = None,
) -> str:
    """The index over all analyses as HTML.

    Args:
        title: of the config.
        entries: in the order of the config.
        software: versions by name.
        created: when, as text.
        seconds: time all jobs took together, where known.
        unfinished: what is missing, where the run did not come to its end.
    """
    views = Views()
    cards = []
    for entry in entries:
        failed = list(entry.failed_models)
        if not entry.passed:
            named = f"model{'s' * (len(failed) > 1)} {listed(failed)}" if failed else "a model"
            stamp = Stamp(f"the fit of {named} failed its checks")
        else:
            stamp = None
        stamps_headline = stamp if not entry.primary or entry.primary in failed else None
        views.stamps = {name: stamp for name in failed} if stamp else {}
        if stamp and not failed and entry.figure:
            views.stamps = {entry.figure.model: stamp}
        cards.append(
            {
                "entry": entry,
                "family": _family(entry.family),
                "href": relative_href(entry.href),
                "anchor": f"analysis-{len(cards) + 1}",
                "stamp": stamp,
                "headline_stamp": stamps_headline,
                "figure": views.figure(entry.figure) if entry.figure else None,
            }
        )
    overview = views.table(
        [Cell("Analysis"), Cell("Kind"), Cell("Checks")],
        [
            [
                Cell(card["entry"].title, header=True, href=card["href"]),
                Cell(card["family"]),
                Cell(
                    card["stamp"].words if card["stamp"] else "All checks passed",
                    verdict="failed" if card["stamp"] else "passed",
                ),
            ]
            for card in cards
        ]
        + [
            [Cell(title, header=True), Cell(_family(family)), Cell("Not finished", verdict="failed")]
            for title, family in (unfinished.missing if unfinished else ())
        ],
        "Analyses in this report.",
    )
    return (
        _templates()
        .get_template("index.html.j2")
        .render(
            title=title,
            cards=cards,
            failed=sum(card["stamp"] is not None for card in cards),
            overview=overview,
            software=_pairs(views, software, ("Software", "Version"), "Software."),
            created=created,
            time=duration(seconds) if seconds is not None else "",
            poolmap_version=software.get("poolmap", ""),
            unfinished=unfinished,
            earlier=[(title, relative_href(href)) for title, href in unfinished.earlier]
            if unfinished
            else [],
        )
    )


def _family(name: str) -> str:
    if name not in FAMILIES:
        raise ValueError(f"unknown family {name!r}; known: {', '.join(FAMILIES)}")
    return FAMILIES[name]


def _results(page: AnalysisPage, views: Views) -> Section:
    findings = list(page.findings)
    opening = next(
        (place for place, block in enumerate(findings) if not isinstance(block, str)), len(findings)
    )
    parts = views.blocks(_warnings(page) + findings[:opening])
    parts += [views.figure(figure) for figure in page.figures if figure.model == page.primary.name]
    parts += views.blocks(findings[opening:], page.primary.name)
    return Section("results", "Results", parts)


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
        frame = page.comparison.rename(columns=COMPARISON)
        parts.append(views.frame(frame, COMPARISON_CAPTION, stamp=views.stamps.get(EVERY_MODEL)))
    parts += [views.figure(figure) for figure in page.figures if figure.model == EVERY_MODEL]
    for place, model in enumerate(page.models, 1):
        if model is page.primary:
            continue
        figures = [views.figure(figure) for figure in page.figures if figure.model == model.name]
        if figures:
            parts.append(Section(f"figures-{place}", f"Figures of model {model.name}", figures))
    title = "Model comparison" if page.comparison is not None else "Further models"
    return Section("comparison", title, parts)


def _checks(page: AnalysisPage, views: Views) -> Section:
    section = Section("checks", "Checks")
    for place, model in enumerate(page.models, 1):
        parts = [*views.blocks(_verdict(model)), _check_table(model, views)]
        attempts = model.checks.get("attempts") or []
        if len(attempts) > 1:
            parts.append(_attempt_table(model, attempts, views))
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
            Cell(cell_text(check["worst"]), numeric=True),
            Cell(check["where"] or "–"),
            Cell("Passed", verdict="passed") if check["passed"] else Cell("Failed", verdict="failed"),
        ]
        for check in model.checks["checks"]
    ]
    return views.table(headings, rows, f"Checks of the fit of model {model.name}.")


def _attempt_table(model: ModelSection, attempts: Sequence[Mapping[str, Any]], views: Views) -> TableView:
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
    return views.table(headings, rows, f"Attempts to fit model {model.name}; the last one is reported.")


def _reproducibility(page: AnalysisPage, views: Views) -> Section:
    settings = {
        SETTINGS.get(key, key.replace("_", " ").capitalize()): page.settings[key] for key in page.settings
    }
    parts = [
        _pairs(views, settings, ("Setting", "Value"), "Settings."),
        _pairs(views, page.software, ("Software", "Version"), "Software."),
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


def _pairs(views: Views, pairs: Mapping[str, Any], headings: tuple[str, str], caption: str) -> TableView:
    rows = [[Cell(str(key), header=True), Cell(cell_text(value))] for key, value in pairs.items()]
    return views.table([Cell(heading) for heading in headings], rows, caption)


def _megabytes(value: Any) -> str:
    text = cell_text(value)
    try:
        return f"{float(value):,.0f}" if text != "–" else text
    except ValueError:
        return text


def _model_title(model: ModelSection, page: AnalysisPage) -> str:
    return f"Model {model.name}" + (" (primary)" if model is page.primary and len(page.models) > 1 else "")


@cache
def _templates() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
