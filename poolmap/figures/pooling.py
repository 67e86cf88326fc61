"""No, partial and complete pooling: each study alone, given all studies, and one effect for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from poolmap.figures.points import effect_axis, reach_null
from poolmap.figures.rows import furthest, in_lines, legend_above, stack, ticks_on_top
from poolmap.figures.style import BLUE, GREEN, INK, MUTED, ORANGE, RC, RULE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LANE = 0.1  # inches between the intervals of a study
MOST_STUDIES = 40
"""Studies with a row of their own."""
LOOKS = {
    # kind: (colour, marker, filled, line) of its models in turn: told apart by marker and line
    "none": [(MUTED, "s", False, (0, (1, 1))), (MUTED, "P", False, (0, (1, 2)))],
    "partial": [
        (BLUE, "o", True, "-"),
        (ORANGE, "^", True, (0, (4, 1.5))),
        (GREEN, "v", True, (0, (6, 1.5, 1, 1.5))),
        (INK, "*", True, (0, (2, 1))),
    ],
    "complete": [(INK, "D", True, (0, (5, 3))), (ORANGE, "X", True, (0, (2, 2)))],
}


@dataclass(frozen=True)
class Pooling:
    """What one model says of the studies.

    Attributes:
        kind: `none` (each study alone), `partial` (shrunken towards the pooled effect) or `complete`
            (one effect for all).
        studies: estimate, lower and upper end of each study's effect (study, 3), as they are shown (ratios
            for ratios); None for complete pooling.
        pooled: the same three of the pooled effect; None for no pooling.
    """

    kind: Literal["none", "partial", "complete"]
    studies: np.ndarray | None = None
    pooled: tuple[float, float, float] | None = None


def moved_most(models: Mapping[str, Pooling], *, log: bool, most: int = MOST_STUDIES) -> np.ndarray:
    """Positions of the studies that partial pooling moves farthest from where they are without it.

    Of models without unrelated effects: those whose effects are farthest from the pooled one. In the order
    given; all where there are no more than `most`.
    """
    to = np.log if log else np.asarray
    shown = {
        kind: [one for one in models.values() if one.kind == kind] for kind in ("none", "partial", "complete")
    }
    studies = [to(np.asarray(one.studies, dtype=float)[:, 0]) for one in shown["partial"] or shown["none"]]
    if shown["none"]:
        start = to(np.asarray(shown["none"][0].studies, dtype=float)[:, 0])
    else:
        start = to(next(one.pooled[0] for one in models.values() if one.pooled))
    return furthest(np.max([np.abs(effects - start) for effects in studies], axis=0), most)


def pooling(
    names: Sequence[str],
    models: Mapping[str, Pooling],
    *,
    log: bool = False,
    null: float | None = None,
    label: str = "effect",
) -> Figure:
    """Each study's effect with no and with partial pooling, and below them the pooled effects.

    The studies are in the order given; of more than 40, those that partial pooling moves most
    (`moved_most`). Within a study there is an interval for each model, in the order of
    `models`; at the foot a row holds the pooled effect of each model that has one. The complete-pooling
    effect runs through all studies as a line with its interval as a band. An interval that leaves the axis
    ends in an arrow head.

    Args:
        names: of the studies (k,).
        models: by the words of the legend.
        log: whether to use a log axis with true values; all values are ratios then.
        null: value of no effect, drawn as a dotted line; None for no line.
        label: of the axis.

    Raises:
        ValueError: no models; a model without what its kind needs, with a number of studies other than
            `names`, or with values that are not finite, or not positive on a log axis.

    Source: Gelman & Hill 2007, Data Analysis Using Regression and Multilevel/Hierarchical Models, ch. 12.
    """
    import matplotlib
    from matplotlib.lines import Line2D

    _check(len(names), models, log)
    looks = _looks(models)
    by_study = [words for words, model in models.items() if model.studies is not None]
    by_pool = [words for words, model in models.items() if model.pooled is not None]
    own = moved_most(models, log=log) if by_study else np.arange(min(len(names), MOST_STUDIES))
    lanes = (len(by_study) + 1.0) * LANE
    rows = [in_lines(names[i]) for i in own]
    feet = [in_lines(f"pooled: {words}") for words in by_pool]
    tops = stack([*rows, *feet], [lanes] * len(rows) + [0.21] * len(feet))
    middle = (tops[:-1] + tops[1:]) / 2
    low, high = _limits(models, own, null, log)
    keys = {words: in_lines(words, 44) for words in models}
    columns = 2 if max(map(len, keys.values())) > 24 else 3
    by_row = [list(keys.values())[i : i + columns] for i in range(0, len(keys), columns)]
    deep = sum(max(words.count("\n") + 1 for words in row) for row in by_row)
    note = ""
    if len(own) < len(names):
        note = f"\nthe {len(own)} of {len(names)} studies that partial pooling moves most"
    with matplotlib.rc_context(RC):
        figure = new_figure(6.6, 0.85 + 0.17 * deep + tops[-1] + (0.15 if note else 0))
        axes = figure.add_subplot()
        axes.set_xlim(low, high)
        effect_axis(axes, "x", log=log)
        if null is not None:
            axes.axvline(null, color=MUTED, linewidth=0.9, linestyle=":", zorder=1)
        for words in by_pool:
            if models[words].kind == "complete":
                centre, lower, upper = models[words].pooled
                colour, _, _, line = looks[words]
                axes.axvspan(
                    max(lower, low), min(upper, high), color=colour, alpha=0.1, linewidth=0, zorder=0
                )
                axes.axvline(centre, color=colour, linewidth=0.9, linestyle=line, zorder=1)
        for lane, words in enumerate(by_study):
            y = middle[: len(own)] + (lane - (len(by_study) - 1) / 2) * LANE
            _intervals(axes, np.asarray(models[words].studies, dtype=float)[own], y, looks[words], words, 3.8)
        for y, words in zip(middle[len(own) :], by_pool, strict=True):
            _intervals(axes, np.array([models[words].pooled]), np.array([y]), looks[words], "pooled", 5.0)
        axes.set_yticks(middle, [*rows, *feet], parse_math=False)
        axes.tick_params(axis="y", length=0, pad=7, labelcolor=INK)
        for text in axes.get_yticklabels()[len(own) :]:
            text.set_fontweight("bold")
        across = axes.get_yaxis_transform()
        axes.hlines(tops[1 : len(own)], 0, 1, transform=across, color=RULE, linewidth=0.4, zorder=0)
        axes.axhline(tops[len(own)], color=MUTED, linewidth=0.8, zorder=0)
        axes.set_ylim(tops[-1] + 0.04, -0.04)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(in_lines(label, 62) + note, parse_math=False)
        ticks_on_top(axes, tops[-1])
        handles = [
            Line2D(
                [], [], color=colour, marker=marker, linestyle=line, markersize=4.5, label=keys[words],
                markerfacecolor=colour if filled else "white",
            )
            for words, (colour, marker, filled, line) in looks.items()
        ]  # fmt: skip
        legend_above(figure, handles, min(len(models), columns))
    return figure


def _intervals(axes: Axes, values: np.ndarray, y: np.ndarray, look: tuple, words: str, size: float) -> None:
    """Intervals (row, 3) at the heights y; what passes the axis ends in an arrow head."""
    colour, marker, filled, line = look
    low, high = axes.get_xlim()
    centre, lower, upper = values.T
    drawn = (lower < high) & (upper > low)
    left, right = np.clip(lower, low, high), np.clip(upper, low, high)
    axes.hlines(y[drawn], left[drawn], right[drawn], color=colour, linestyle=line, linewidth=1.2, zorder=2)
    inside = (centre >= low) & (centre <= high)
    axes.plot(
        centre[inside], y[inside], linestyle="none", color=colour, marker=marker, markersize=size, zorder=3,
        markerfacecolor=colour if filled else "white", label=words,
    )  # fmt: skip
    for beyond, end, head in ((lower < low, low, "<"), (upper > high, high, ">")):
        if beyond.any():
            axes.plot(np.full(beyond.sum(), end), y[beyond], head, color=colour, markersize=4, clip_on=False)


def _check(studies: int, models: Mapping[str, Pooling], log: bool) -> None:
    if not studies or not models:
        raise ValueError("no studies or no models to draw")
    for words, model in models.items():
        if model.kind not in LOOKS:
            raise ValueError(f"{words!r}: unknown kind {model.kind!r}; known: {', '.join(LOOKS)}")
        if (model.kind == "complete") != (model.studies is None):
            raise ValueError(
                f"{words!r}: a value for each study is for no and partial pooling, which need it"
            )
        if (model.kind == "none" and model.pooled is not None) or (
            model.kind == "complete" and model.pooled is None
        ):
            raise ValueError(f"{words!r}: no pooling has no pooled effect, complete pooling needs one")
        if model.studies is not None and np.shape(model.studies) != (studies, 3):
            raise ValueError(f"{words!r}: {np.shape(model.studies)} values, need ({studies}, 3)")
        given = [values for values in (model.studies, model.pooled) if values is not None]
        values = np.concatenate([np.ravel(np.asarray(part, dtype=float)) for part in given])
        if not np.isfinite(values).all() or (log and (values <= 0).any()):
            raise ValueError(f"{words!r}: values that are not finite, or not above 0 on a log axis")
    for kind, looks in LOOKS.items():
        if sum(model.kind == kind for model in models.values()) > len(looks):
            raise ValueError(f"more than {len(looks)} models of kind {kind!r} cannot be told apart")


def _looks(models: Mapping[str, Pooling]) -> dict[str, tuple]:
    used = dict.fromkeys(LOOKS, 0)
    found = {}
    for words, model in models.items():
        found[words] = LOOKS[model.kind][used[model.kind]]
        used[model.kind] += 1
    return found


def _limits(
    models: Mapping[str, Pooling], own: np.ndarray, null: float | None, log: bool
) -> tuple[float, float]:
    """Ends of the axis: all estimates, and intervals as far as 1.25 times their usual length beyond them."""
    to, back = (np.log, np.exp) if log else (np.asarray, np.asarray)
    parts = [np.asarray(model.studies)[own] for model in models.values() if model.studies is not None]
    parts += [np.array([model.pooled]) for model in models.values() if model.pooled is not None]
    values = to(np.concatenate([np.asarray(part, dtype=float) for part in parts]))
    centre, lower, upper = values.T
    beyond = 1.25 * float(np.median(upper - lower))
    low = max(lower.min(), centre.min() - beyond)
    high = min(upper.max(), centre.max() + beyond)
    low, high = reach_null(low, high, None if null is None else float(to(null)))
    edge = 0.03 * (high - low) or 1.0
    return float(back(low - edge)), float(back(high + edge))
