"""The linear predictor of a block of cells: the effects of each cell's levels, looked up and added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poolmap.families.mrp.parts import Parts

JOINED = 2_500
"""Rows of a table of summed effects: small batches are summed before they are looked up."""


@dataclass(frozen=True, eq=False)
class _Look:
    """One look-up: batches summed into one table, its row for each cell, the column it multiplies.

    Attributes:
        batches: their places in `Parts.batches`; sizes: rows of each, the last one for "no effect".
        code: (cells,) row of the table.
        effect: which of a batch's J effects; column: of the design, -1 the intercept.
    """

    batches: tuple[int, ...]
    sizes: tuple[int, ...]
    code: NDArray[np.int32]
    effect: int
    column: int


@dataclass(frozen=True, eq=False)
class EffectTables:
    """Effects of a block of draws, ready to be looked up.

    Attributes:
        alpha: (E, draws); beta: (E, P, draws).
        looks: each look-up with its tables (E, rows, draws).
    """

    alpha: NDArray
    beta: NDArray
    looks: Sequence[tuple[_Look, NDArray]]

    def linear_predictor(self, x: NDArray, rows: slice) -> NDArray:
        """Eta (E, cells, draws) of the cells in `rows`, x being the design (cells, P)."""
        cells, draws = rows.stop - rows.start, self.alpha.shape[1]
        eta = np.empty((len(self.alpha), cells, draws), dtype=x.dtype)
        found = np.empty((cells, draws), dtype=x.dtype)
        for e, out in enumerate(eta):
            if x.shape[1]:
                np.matmul(x[rows], self.beta[e], out=out)
                out += self.alpha[e]
            else:
                out[:] = self.alpha[e]
            for look, tables in self.looks:
                np.take(tables[e], look.code[rows], axis=0, out=found, mode="clip")
                if look.column >= 0:
                    np.multiply(found, x[rows, look.column, None], out=found)
                out += found
        return eta


@dataclass(frozen=True, eq=False)
class GatherPlan:
    """Which effects are looked up together."""

    looks: Sequence[_Look]

    @classmethod
    def of(cls, parts: Parts, codes: Mapping[str, NDArray], cells: int) -> GatherPlan:
        """The look-ups of these cells.

        Batches of intercepts with few levels are summed beforehand into one table with a row for each
        combination of their levels, where that has fewer rows than there are cells.

        Args:
            parts: the linear predictor.
            codes: by the name of a batch's column, (cells,) codes of the levels, -1 for none.
            cells: how many there are.
        """
        intercepts, looks = [], []
        for b, batch in enumerate(parts.batches):
            code = np.asarray(codes[batch.level], dtype=np.int32)
            size = int(code.max(initial=-1)) + 2
            code = np.where(code < 0, size - 1, code)
            for j, column in enumerate(batch.columns):
                if column < 0:
                    intercepts.append((size, b, j, code))
                else:
                    looks.append(_Look((b,), (size,), code.astype(np.int32), j, column))
        groups: list[list] = []
        for item in sorted(intercepts, key=lambda item: item[0]):
            together = groups and np.prod([i[0] for i in groups[-1]]) * item[0]
            if groups and item[2] == groups[-1][0][2] and together <= min(JOINED, cells):
                groups[-1].append(item)
            else:
                groups.append([item])
        for group in groups:
            sizes = tuple(item[0] for item in group)
            code = np.ravel_multi_index([item[3] for item in group], sizes).astype(np.int32)
            looks.append(_Look(tuple(item[1] for item in group), sizes, code, group[0][2], -1))
        return cls(looks)

    def tables(self, parts: Parts, effects: Sequence[NDArray], some: slice, dtype: np.dtype) -> EffectTables:
        """The tables of a block of draws, from the effects (draws, levels, J, E) of each batch."""
        made = []
        for look in self.looks:
            total = np.zeros((parts.alpha.shape[1], 1, some.stop - some.start))
            for b, size in zip(look.batches, look.sizes, strict=True):
                effect = effects[b][:, : size - 1, look.effect, :].transpose(2, 1, 0)
                padded = np.pad(effect, ((0, 0), (0, 1), (0, 0)))  # the last row: no effect
                if size == 1:  # a house: no cell has a level, and the average of them all stands for each
                    padded = effects[b][:, :, look.effect, :].mean(axis=1).T[:, None]
                total = (total[:, :, None] + padded[:, None]).reshape(len(total), -1, total.shape[2])
            made.append((look, np.ascontiguousarray(total, dtype=dtype)))
        return EffectTables(
            np.ascontiguousarray(parts.alpha[some].T, dtype=dtype),
            np.ascontiguousarray(parts.beta[some].transpose(2, 1, 0), dtype=dtype),
            made,
        )
