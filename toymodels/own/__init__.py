"""Models and losses of one's own, written in sympy: their differences without cancellation, generated functions, gradient flow."""
