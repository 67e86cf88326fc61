"""Disease maps from counts by area."""
