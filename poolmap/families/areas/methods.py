"""The report's words on a map: data, model, findings."""

from __future__ import annotations

from poolmap.families.areas.describe import describe
from poolmap.families.areas.findings import findings
from poolmap.families.areas.model_words import methods

__all__ = ["describe", "findings", "methods"]
