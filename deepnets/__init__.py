"""Deep networks on the plane of gamma and eta: centred networks, their training over whole planes, observables (torch).

torch is imported when the first name is used. The public names are listed in ``__init__.pyi``.
"""

from validation.lazy_names import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
