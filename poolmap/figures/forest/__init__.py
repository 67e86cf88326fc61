"""Forest plots."""

from poolmap.figures.forest.plot import forest
from poolmap.figures.forest.rows import JUDGEMENTS, ForestRow, Subgroup, Summary
from poolmap.figures.ticks import MOST_TICKS, ratio_ticks

__all__ = ["JUDGEMENTS", "MOST_TICKS", "ForestRow", "Subgroup", "Summary", "forest", "ratio_ticks"]
