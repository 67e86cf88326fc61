"""From a finished analysis to a page."""
