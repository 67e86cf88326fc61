"""Multilevel regression and poststratification."""
