"""What a page shows, as the report's own data: an analysis, its models and figures, an entry of the index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from poolmap.contracts import Block
from poolmap.report.views import Stamp, listed

if TYPE_CHECKING:
    import pandas as pd


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
