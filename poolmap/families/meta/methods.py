"""The report's words on a meta-analysis: data, model, findings."""

from __future__ import annotations

from poolmap.families.meta.describe import describe
from poolmap.families.meta.findings import findings
from poolmap.families.meta.model_words import methods

__all__ = ["describe", "findings", "methods"]
