"""Meta-analysis of study tables."""
