"""The report's words on multilevel regression and poststratification: data, model, findings."""

from __future__ import annotations

from poolmap.families.mrp.describe import describe
from poolmap.families.mrp.findings import findings
from poolmap.families.mrp.model_words import methods

__all__ = ["describe", "findings", "methods"]
