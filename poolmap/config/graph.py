"""The config section `graph` of a disease map: which areas are neighbours."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from poolmap.config.base import PathText, Section, first_read_by
from poolmap.config.conflicts import Conflict, tell

Area = Annotated[str, Field(min_length=1)]

READ_BY = {
    "contiguity": ("contiguity", "match", "tolerance"),
    "arcs": ("contiguity",),
    "knn": ("k",),
    "distance": ("distance",),
    "file": ("file",),
}
"""Which keys each method reads; `join` and `cut` go with all."""

NEEDED = {
    "k": "the number of nearest neighbours, such as `k: 6`",
    "distance": "the largest distance between the centroids of neighbours, in metres",
    "file": "the path of an edge list, an adjacency matrix or a GAL file",
}


class GraphRule(Section):
    """A rule for which areas are neighbours."""

    method: Literal["contiguity", "arcs", "knn", "distance", "file"] = "contiguity"
    """`contiguity`: areas whose polygons meet; `arcs`: areas that share a stretch of border in a TopoJSON
    file; `knn`: each area and the `k` whose centroids are nearest; `distance`: areas whose centroids are at
    most `distance` apart; `file`: the pairs in `file`."""
    contiguity: Literal["queen", "rook"] = "queen"
    """`queen`: areas that share a point; `rook`: areas that share a stretch of border (methods contiguity and
    arcs)."""
    match: Literal["touch", "vertices"] = "touch"
    """What it is to meet: `touch`: the polygons touch or overlap anywhere; `vertices`: they have a vertex
    (rook: a segment) of their borders in common to the last digit, as in libpysal."""
    tolerance: float = Field(0.0, ge=0)
    """Areas at most this many metres apart are neighbours too, for maps whose borders do not quite meet
    (rook: where they are so close along a stretch of border)."""
    k: int | None = Field(None, ge=1)
    """Number of nearest neighbours (knn); two areas are neighbours where either is among the other's."""
    distance: float | None = Field(None, gt=0)
    """Largest distance between the centroids of neighbours, in metres (distance)."""
    file: PathText | None = None
    """Neighbours worked out elsewhere (file): an edge list (two columns of ids), an adjacency matrix (ids in
    the first column and as the names of the others) or a GAL file."""

    @model_validator(mode="after")
    def _consistent(self) -> GraphSpec:
        tell([Conflict(*found) for found in (*self._other_methods(), *self._own_method(), *self._more())])
        return self

    def _other_methods(self) -> list[tuple[str, str]]:
        """Keys that are set but not read by the method, and where they belong."""
        default = type(self).model_fields
        keys = dict.fromkeys(key for read in READ_BY.values() for key in read)
        stray = [k for k in keys if getattr(self, k) != default[k].default and k not in READ_BY[self.method]]
        readers = {key: " or ".join(m for m, read in READ_BY.items() if key in read) for key in stray}
        return [
            (
                key,
                f"it goes with `method: {methods}`, and the method is {self.method}: leave `{key}` away or "
                "change the method",
            )
            for key, methods in readers.items()
        ]

    def _own_method(self) -> list[tuple[str, str]]:
        conflicts = [
            (key, f"`method: {self.method}` needs it: {NEEDED[key]}")
            for key in READ_BY[self.method]
            if key in NEEDED and getattr(self, key) is None
        ]
        if self.method == "contiguity" and self.match == "vertices" and self.tolerance:
            text = "equal vertices know no tolerance: leave `tolerance` away, or `match: vertices`"
            conflicts.append(("tolerance", text))
        return conflicts

    def _more(self) -> list[tuple[str, str]]:
        """What else does not fit together."""
        return []


class GraphSpec(GraphRule):
    """Which areas are neighbours."""

    join: tuple[tuple[Area, Area], ...] = ()
    """Pairs of areas to make neighbours as well (a bridge, a ferry): [[a, b], ...]."""
    cut: tuple[tuple[Area, Area], ...] = ()
    """Pairs of areas that are not to be neighbours (a ridge without a pass): [[a, b], ...]."""
    compare: tuple[GraphRule, ...] | None = Field(None, json_schema_extra=first_read_by("estimate"))
    """Other rules to compare this one with (contiguity, knn or distance; `join` and `cut` hold for them too):
    which pairs differ, and whose conclusion changes; [] for none. By default queen contiguity as drawn and
    with a tolerance, rook contiguity and the k nearest, unless the neighbours come from a file."""

    def _more(self) -> list[tuple[str, str]]:
        conflicts = [
            ("compare", f"`method: {rule.method}` cannot be compared: take contiguity, knn or distance")
            for rule in self.compare or ()
            if rule.method in ("arcs", "file")
        ]
        for key, pairs in (("join", self.join), ("cut", self.cut)):
            for a, b in pairs:
                if a == b:
                    conflicts.append((key, f"[{a}, {b}] names one area twice: give two"))
            repeated = {frozenset(p) for i, p in enumerate(pairs) if set(p) in map(set, pairs[:i])}
            conflicts += [
                (key, f"[{', '.join(sorted(pair))}] stands there more than once: keep one")
                for pair in sorted(repeated, key=sorted)
            ]
        both = [p for p in self.cut if set(p) in map(set, self.join)]
        conflicts += [("cut", f"[{a}, {b}] is to be joined as well: keep one of the two") for a, b in both]
        return conflicts
