"""The toy models: their theory by sympy, and their training over a plane by numba.

``OneParameter`` and ``TwoParameter`` are the models, `ToyExperiment` trains them over a plane, `trajectory` once with every step
kept, `predict` derives their edges. numba and sympy are imported where they are first used. The public names are listed in
``__init__.pyi``.
"""

from validation.lazy_names import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
