"""Tune richness and rate together: start where a network crosses from lazy to rich, try short runs, and search in full runs."""
