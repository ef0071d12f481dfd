"""Toy models of training across the feature-learning strength: their theory, derived by sympy, and their simulation by numba.

`OneParameter` and `TwoParameter` are the models. `ToyExperiment` trains them over a plane of gamma and eta, `trajectory` returns one run
with every step, and `predict` derives their edges. numba and sympy are imported at their first use. ``__init__.pyi`` lists the public
names.
"""

try:
    from validation.lazy_names import attach
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "validation":
        raise
    from sys import modules

    other = getattr(modules.get("validation"), "__file__", None)
    raise ImportError(f"{__name__} needs lazyrich's package 'validation', and Python finds {other} for it: rename that, start from another "
                      "folder, or install lazyrich in an environment of its own") from error

__getattr__, __dir__, __all__ = attach(__name__, __file__)
