"""Portraits on disk: saved whole, or written tile by tile during a sweep."""
