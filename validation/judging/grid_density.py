"""Estimate how much denser a grid would have to be for an undecided verdict to be decided."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtrit

from validation.fitting.result import PowerLawFit

DENSEST = 1000.0             # denser grids are not suggested


def how_much_denser(fit: PowerLawFit, off: float, tolerance: float) -> float | None:
    """Return how many times denser, in gamma and eta alike, a grid must be to decide; None beyond a factor of 1000.

    The interval's half-width goes as ``t(n-2) sqrt((s^2 + h^2/12)/n)`` with n and 1/h proportional to the density. To decide
    more often than not, the next measured value is allowed to lie one standard error nearer to the tolerance's rim, and
    the scatter to be one standard error larger than found: behind wide brackets it is easily missed.
    """
    with np.errstate(invalid="ignore"):
        cell = np.log10(fit.upper / fit.lower)
    h2 = float(np.nanmean(cell**2)) / 12
    s2 = max(fit.scatter, 0.0)**2
    s2 += (s2 + h2) * float(np.sqrt(2 / (fit.n - 2)))
    inside = abs(off) < tolerance
    interval, level = (fit.interval90, 0.90) if inside else (fit.interval, 0.95)
    half = max(interval[1] - fit.exponent, fit.exponent - interval[0])
    gap = abs(abs(off) - tolerance)
    if not (np.isfinite(half) and gap > 0):
        return None

    def width(factor: float) -> float:
        n = fit.n * factor
        return float(stdtrit(n - 2, 0.5 + level / 2)) * float(np.sqrt((s2 + h2 / factor**2) / n))

    def lacks(log: float) -> float:
        n = fit.n * 10**log
        return half * width(10**log) / width(1.0) * (1 + 1 / float(stdtrit(n - 2, 0.5 + level / 2))) - gap

    if lacks(np.log10(DENSEST)) > 0:
        return None
    return float(10 ** brentq(lacks, 0.0, np.log10(DENSEST), xtol=1e-3)) if lacks(0.0) > 0 else 1.1
