"""poolmap: meta-analysis, disease mapping and poststratification, fitted in Stan, checked and reported."""

__version__ = "0.1.0"
