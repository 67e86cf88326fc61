"""What passes between the steps and the families: plain data, no behaviour beyond checking its shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import geopandas
    import xarray
    from matplotlib.figure import Figure

    from poolmap.graph.graph import Graph


EVERY_MODEL = "*"
"""In place of a model's name: a figure or table that shows all models side by side."""


@dataclass
class Dataset:
    """Checked input of one analysis: what `ingest` returns and every later step reads.

    Attributes:
        tables: checked tables by name, with a plain 0..n-1 index.
        exclusions: rows left out, columns `file, row, id, reason` (see `tables.exclusions`).
        facts: what a reader must know of the data, JSON-able (counts, corrections, findings).
        geometry: polygons with an `area` column, where the analysis has a map.
        graph: the adjacency, set by the graph step, areas in the order of the main table.
    """

    tables: dict[str, pd.DataFrame]
    exclusions: pd.DataFrame
    facts: dict[str, Any] = field(default_factory=dict)
    geometry: geopandas.GeoDataFrame | None = None
    graph: Graph | None = None


@dataclass(frozen=True)
class StanData:
    """Input of one fit: arrays by the names of the Stan program's data block.

    Attributes:
        data: the program's data.
        parameters: the sampled parameters whose draws are kept, by their name in the program.
        whitened: for a program that samples in coordinates close to independent and standard normal, the
            target acceptance that costs least there: warm-up then has only the step size to find.
    """

    data: dict[str, Any]
    parameters: Sequence[str]
    whitened: float | None = None


@dataclass(frozen=True)
class Quantity:
    """Draws of one reported quantity over the rows of one estimates table.

    Attributes:
        table: name of the table (and CSV file) it is reported in.
        quantity: the value of its `quantity` column: a term of the field (`log_rr`, `tau`, `rr`).
        description: what it is, in words, with its unit; goes to the data dictionary.
        draws: array (chain, draw, row).
        keys: one row a table row: the columns that say what the row is about (study, area, county ...);
            None for a single row without keys.
        extra: further columns of the table, one row a table row (raw estimates, exceedance, ...).
        known: (row,) whether the row follows from the data alone: its draws are all the same number, of which
            R-hat and effective sample size say nothing. The gate fails any other row that does not vary.
    """

    table: str
    quantity: str
    description: str
    draws: np.ndarray
    keys: pd.DataFrame | None = None
    extra: pd.DataFrame | None = None
    known: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.draws.ndim != 3:
            raise ValueError(
                f"{self.table}/{self.quantity}: draws must be (chain, draw, row), not {self.draws.shape}"
            )
        rows = self.draws.shape[2]
        for name, frame in {"keys": self.keys, "extra": self.extra, "known": self.known}.items():
            if frame is not None and len(frame) != rows:
                raise ValueError(
                    f"{self.table}/{self.quantity}: {name} has {len(frame)} rows, the draws {rows}"
                )
        if self.keys is None and rows != 1:
            raise ValueError(f"{self.table}/{self.quantity}: {rows} rows need keys")


@dataclass(frozen=True)
class Predictive:
    """What the fitted model says of data like those observed.

    Attributes:
        unit: what one observation is ("study", "arm", "area", "cell").
        labels: a label for each of the n observations.
        observed: array (n,).
        replicated: array (chain, draw, n): replicated data; of large data from fewer draws than `log_lik`, in
            `replicated_draws`.
        log_lik: array (chain, draw, m): log likelihood of each of the m parts that leave-one-out leaves
            out: the observations, or studies of two arms.
        value: what is observed, in words ("SIDS cases").
        left_out: what leave-one-out leaves out, where it is not the unit ("study" of two arms).
        integrated: what `log_lik` is integrated over, in words ("the area's own effect").
        exact_elpd: array (m,): exact leave-one-out log predictive densities, where the family knows them.
        parts: names of the m parts, where they are not the observations.
        groups: n rows, the levels of factors that an observation belongs to, by which predictive checks are
            added up; a column `answer` tells observations of different answers apart.
        size: array (n,): persons in each observation, with `groups`.
        is_mean: whether an observation is the mean of its persons and not their total.
        replicated_draws: numbers of the draws (of each chain) that are replicated; None for all.
    """

    unit: str
    labels: Sequence[str]
    observed: np.ndarray
    replicated: np.ndarray
    log_lik: np.ndarray
    value: str
    left_out: str = ""
    integrated: str = ""
    exact_elpd: np.ndarray | None = None
    parts: Sequence[str] = ()
    groups: pd.DataFrame | None = None
    size: np.ndarray | None = None
    is_mean: bool = False
    replicated_draws: np.ndarray | None = None


@dataclass(frozen=True)
class LeftOut:
    """A fit without one of the parts that leave-one-out leaves out.

    Attributes:
        data: of the other parts.
        log_lik: log likelihood (chain, draw) of the part under draws of that fit.
        replicated: averages over the part's persons (chain, draw, answers) of data replicated under draws of
            that fit, from a random generator; None where the family tells none.
    """

    data: StanData
    log_lik: Callable[[xarray.Dataset], np.ndarray]
    replicated: Callable[[xarray.Dataset, np.random.Generator], np.ndarray] | None = None


@dataclass(frozen=True)
class Companion:
    """A table beside the estimates that does not come from the draws: classical results, refits.

    Attributes:
        name: of the CSV file, without ending.
        frame: the table.
        description: what it is and where it comes from; goes to the data dictionary.
    """

    name: str
    frame: pd.DataFrame
    description: str


@dataclass(frozen=True)
class ModelResult:
    """What the report knows of one fitted model, read back from its files.

    Attributes:
        name: the model's name in the config.
        estimates: estimates tables by name.
        dictionary: description of each quantity and column, by table.
        checks: the gate's verdict and figures (`inference.checks.Checks.as_dict`).
        predictive: posterior predictive summary per observation.
        statistics: posterior predictive test statistics.
        value: what is observed, in words (`Predictive.value`).
        companions: companion tables by name.
    """

    name: str
    estimates: Mapping[str, pd.DataFrame]
    dictionary: Mapping[str, Any]
    checks: Mapping[str, Any]
    predictive: pd.DataFrame
    statistics: pd.DataFrame
    value: str
    companions: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether the fit passed the gate."""
        return bool(self.checks["passed"])


@dataclass(frozen=True)
class NamedFigure:
    """A figure with the words that go with it.

    Attributes:
        name: file name without ending (also the anchor in the report).
        figure: the matplotlib figure; no title of its own, the caption is in the report.
        title: a few words.
        caption: what is shown, how to read it, which model and interval.
        alt: what a reader who cannot see it must know, with the main numbers.
        model: the model whose estimates it draws; `EVERY_MODEL`; "" where it draws data only.
    """

    name: str
    figure: Figure
    title: str
    caption: str
    alt: str
    model: str = ""


@dataclass(frozen=True)
class Equation:
    """A displayed equation: LaTeX, and the same in words for a screen reader."""

    latex: str
    words: str


@dataclass(frozen=True)
class ReportTable:
    """A table for the report, cells already written as text.

    Attributes:
        frame: text cells; the column names are the headings.
        caption: what it shows.
        numeric: headings of the columns to set right-aligned.
        model: the model it belongs to; `EVERY_MODEL`; "" where it shows data or the
            findings of the primary model.
    """

    frame: pd.DataFrame
    caption: str
    numeric: Sequence[str] = ()
    model: str = ""


Block = str | Equation | ReportTable
"""One block of report text: a paragraph, an equation or a table."""
