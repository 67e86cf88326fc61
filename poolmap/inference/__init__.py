"""Draws: summaries, checks, predictive checks, comparison."""
