"""Measure and judge: sweep a plane, locate edges, fit exponents, compare them with claims (numpy, scipy, xarray).

Experiment -> sweep over a Plane -> portrait -> edges -> PowerLawFit -> Verdict -> figure, report

zarr and matplotlib are imported where they are used. The public names are listed in ``__init__.pyi``.
"""

from validation.lazy_names import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
