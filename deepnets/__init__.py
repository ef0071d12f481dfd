"""Deep networks on the plane of gamma and eta: centred networks, their training over whole planes, observables (torch).

torch is imported when the first name is used. The public names are listed in ``__init__.pyi``.
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
