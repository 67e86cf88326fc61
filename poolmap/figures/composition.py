"""Who was asked and whom the estimates are for: shares of the levels of each variable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poolmap.figures.rows import LINE, in_lines
from poolmap.figures.style import BLUE, INK, ORANGE, RC, RULE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW = 0.19  # inches
WIDE = 26  # characters a line of a level's name


@dataclass(frozen=True)
class Variable:
    """The levels of one variable.

    Attributes:
        name: of the variable.
        levels: its levels in order.
        sample, census: (levels,) shares of the respondents and of the people.
        weighted: (levels,) weighted shares of the respondents, or None.
    """

    name: str
    levels: Sequence[str]
    sample: np.ndarray
    census: np.ndarray
    weighted: np.ndarray | None = None


def draw_composition(variables: Sequence[Variable]) -> Figure:
    """A panel a variable, in two columns: rings for the sample, squares weighted, bars for the census."""
    import matplotlib
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    columns = _columns(variables)
    heights = [sum(len(variables[i].levels) + 2.2 for i in column) for column in columns]
    labels = [[in_lines(str(level), WIDE) for level in variable.levels] for variable in variables]
    tallest = max(label.count("\n") for own in labels for label in own) + 1
    row = max(ROW, LINE * tallest + 0.04)
    weighted = any(variable.weighted is not None for variable in variables)
    with matplotlib.rc_context(RC):
        figure = new_figure(7.5, max(2.2, row * max(heights) + 0.9))
        for part, column, height in zip(
            np.atleast_1d(figure.subfigures(1, len(columns))), columns, heights, strict=True
        ):
            ratios = [len(variables[i].levels) + 1.2 for i in column]
            spare = max(heights) - height
            if spare > 1:
                ratios.append(spare)
            grid = part.subplots(len(ratios), 1, height_ratios=ratios, squeeze=False)[:, 0]
            if spare > 1:
                grid[-1].set_axis_off()
            for axes, i in zip(grid, column, strict=False):
                variable = variables[i]
                y = np.arange(len(variable.levels))
                axes.barh(y, variable.census, height=0.62, color="#dfe3e8", edgecolor=RULE, lw=0.5)
                axes.hlines(y, variable.census, variable.sample, color=ORANGE, lw=0.7, zorder=1.5)
                if variable.weighted is not None:
                    axes.plot(variable.weighted, y, ls="", marker="s", ms=5.2, mfc="none", mec=BLUE, zorder=2)
                axes.plot(variable.sample, y, ls="", marker="o", ms=4, mfc=ORANGE, mec=ORANGE, zorder=3)
                axes.set_yticks(y, labels[i], parse_math=False)
                axes.set_ylim(len(y) - 0.4, -0.6)
                axes.set_xlim(left=0)
                axes.tick_params(axis="y", length=0, labelcolor=INK, labelsize=7.5)
                axes.tick_params(axis="x", labelsize=7)
                axes.xaxis.set_major_locator(MaxNLocator(5))
                axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
                axes.set_title(variable.name, loc="left", fontweight="bold", parse_math=False)
        handles = [
            Patch(facecolor="#dfe3e8", edgecolor=RULE, label="census"),
            Line2D([], [], ls="", marker="o", ms=4, color=ORANGE, label="sample"),
        ]
        if weighted:
            handles.append(
                Line2D([], [], ls="", marker="s", ms=5.2, mfc="none", mec=BLUE, label="sample, weighted")
            )
        figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def _columns(variables: Sequence[Variable]) -> list[list[int]]:
    """The variables in two columns of about the same height, in order; one where there is a single one."""
    if len(variables) == 1:
        return [[0]]
    size = np.array([len(variable.levels) + 2.2 for variable in variables])
    before = np.cumsum(size)
    cut = int(np.argmin(np.maximum(before, before[-1] - before)[:-1])) + 1
    return [list(range(cut)), list(range(cut, len(variables)))]
