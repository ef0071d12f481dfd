"""Toy models of training across the feature-learning strength: their theory, derived by sympy, and their simulation by numba.

`OneParameter` and `TwoParameter` are the models. `ToyExperiment` trains them over a plane of gamma and eta, `trajectory` returns one run
with every step, and `predict` derives their edges. numba and sympy are imported at their first use. ``__init__.pyi`` lists the public
names.
"""

from validation.lazy_names import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
