"""Measuring a plane tile by tile, with executors, refinement near edges and the paper's descending protocol."""
