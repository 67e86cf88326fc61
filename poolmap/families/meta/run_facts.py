"""What was done in one run of a meta-analysis, as the checklists need it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Dataset, ModelResult, NamedFigure
from poolmap.families.meta.model_kinds import kinds
from poolmap.families.meta.numbers import listed, models_named


@dataclass(frozen=True)
class RunFacts:
    """An analysis with its results and figures.

    Attributes:
        spec, data, results: as in `families`.
        figures: those on the page.
    """

    spec: MetaAnalysis
    data: Dataset
    results: Mapping[str, ModelResult]
    figures: Sequence[NamedFigure]

    @property
    def primary(self) -> ModelResult:
        """The result of the primary model."""
        return next(iter(self.results.values()))

    @property
    def comparison(self) -> str:
        """The title of the section where all models stand side by side."""
        return "Model comparison" if len(self.results) > 1 else "Further models"

    def companion(self, name: str) -> bool:
        """Whether the primary model has a companion table."""
        return name in self.primary.companions

    def has_table(self, name: str) -> list[str]:
        """The models with an estimates table of this name."""
        return [model for model, result in self.results.items() if name in result.estimates]

    def drawn(self, *names: str) -> list[NamedFigure]:
        """The figures on the page with one of these names, or whose name begins with one and `_`."""
        return [
            figure
            for figure in self.figures
            if any(figure.name == name or figure.name.startswith(f"{name}_") for name in names)
        ]

    def shown(self, *names: str, exactly: bool = False) -> str:
        """Section and titles of the figures of these names: `Results: figures Funnel plot and ...`; or "".

        Args:
            exactly: leave out figures whose name only begins with one of these.
        """
        found: dict[str, list[str]] = {}
        for figure in self.drawn(*names):
            if exactly and figure.name not in names:
                continue
            titles = found.setdefault(self.section(figure), [])
            if figure.title not in titles:
                titles.append(figure.title)
        return "; ".join(
            f"{section}: figure{'s' * (len(titles) > 1)} " + listed([f"“{title}”" for title in titles])
            for section, titles in found.items()
        )

    def tables_of(self, models: Sequence[str]) -> str:
        """Where the tables of these models stand."""
        others = [model for model in models if model != self.primary.name]
        return places(
            "Results: tables" if len(others) < len(models) else "",
            f"{self.comparison}: {models_named(others)}" if others else "",
        )

    def stamp(self, model: str) -> str:
        """` (DO NOT USE: the fit failed its checks)`, or "" where it passed them."""
        return "" if self.results[model].passed else " (DO NOT USE: the fit failed its checks)"

    def other_models(self) -> list[str]:
        """The models that put the primary one to the test: with the same moderators, and pooling."""
        first, told = self.spec.models[self.primary.name], []
        for name in self.results:
            chosen = self.spec.models[name]
            alike = (chosen.formula, chosen.subgroups) == (first.formula, first.subgroups)
            if name != self.primary.name and alike and chosen.effects != "independent":
                told.append(name)
        return told

    def refits(self) -> str:
        """Where the refits without each study stand."""
        where = []
        tables = [name for name in ("leave_one_out", "leave_one_out_reml") if self.companion(name)]
        if tables:
            where += [self.shown("leave_one_out"), *[self.file(name) for name in tables]]
        if self.companion("influence"):
            where += [self.shown("influence"), self.file("influence")]
        return places(*where)

    def file(self, table: str) -> str:
        """The path of a table of the primary model in the folder of the analysis."""
        return f"{self.primary.name}/estimates/{table}.csv"

    def section(self, figure: NamedFigure) -> str:
        """The section of the page where a figure stands."""
        if figure.model == self.primary.name:
            return "Results"
        return self.comparison if figure.model else "Data"

    def models_in_words(self) -> str:
        """Each model with its effects, its likelihood, its regression or subgroups."""
        several = len(self.results) > 1
        return "; ".join(
            f"{model}{' (primary)' if several and model == self.primary.name else ''}: {words}"
            for model, words in kinds(self.spec).items()
            if model in self.results
        )


def sentence(text: str) -> str:
    """With a capital at the beginning and a full stop at the end."""
    return f"{text[:1].upper()}{text[1:]}."


def places(*where: str) -> str:
    """Places in the report in one text; empty ones left out."""
    return "; ".join(place for place in where if place)
