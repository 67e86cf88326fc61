"""From a finished analysis to one self-contained HTML page, and from all of them to an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from poolmap.contracts import EVERY_MODEL
from poolmap.report.content import AnalysisPage, IndexEntry, Unfinished
from poolmap.report.sections import pairs, sections_of
from poolmap.report.views import Cell, Stamp, Views, cell_text, duration, listed, relative_href

if TYPE_CHECKING:
    import jinja2

FAMILIES = {
    "meta": "Meta-analysis",
    "areas": "Disease map",
    "mrp": "Multilevel regression and poststratification",
}


def render_analysis(page: AnalysisPage) -> str:
    """The page of one analysis as HTML: no script, and nothing that is fetched.

    Raises:
        ValueError: an equation or figure that cannot be shown, or an unknown family.
    """
    _family(page.family)
    stamps = {model.name: model.stamp for model in page.models if model.stamp}
    if stamps:
        stamps[EVERY_MODEL] = Stamp("; ".join(stamp.why for stamp in stamps.values()))
    return (
        _templates()
        .get_template("analysis.html.j2")
        .render(
            page=page,
            family=_family(page.family),
            failed=[model for model in page.models if not model.passed],
            sections=sections_of(page, Views(stamps)),
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
                    card["stamp"].words if card["stamp"] else "All checks of the fits passed",
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
            software=pairs(views, software, ("Software", "Version"), "Software."),
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
