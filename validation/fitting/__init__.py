"""How exponents are found in brackets, and how sure they are: likelihood, windows, breaks, bootstrap; knows no model."""
