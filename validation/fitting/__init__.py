"""Fit exponents to bracketed edges: likelihood, windows, breaks, losses over time, collapses, comparisons."""
