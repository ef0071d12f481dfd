"""Estimate how much more data an undecided verdict would need: a denser grid, or more seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtrit

from validation.fitting.result import PowerLawFit

DENSEST = 1000.0             # denser grids are not suggested,
MOST_SEEDS = 100             # nor more seeds


def needed_half_width(fit: PowerLawFit, off: float, tolerance: float, most: float, gaps: list[float]) -> float:
    """Return the half-width that the 95% interval around the same measured value may have at most to decide.

    Parameters
    ----------
    off : measured less claimed.
    tolerance, most : what the 90% interval may be off, and what it may be off while the 95% interval holds the claim.
    gaps : distances of the measured value from the rivals that are not excluded.
    """
    if abs(off) > tolerance:
        return abs(off) - tolerance
    wider = np.ptp(fit.interval) / np.ptp(fit.interval90) if np.ptp(fit.interval90) > 0 else 1.0
    allowed = (tolerance - abs(off)) * wider
    if (most - abs(off)) * wider > abs(off):
        allowed = max(allowed, (most - abs(off)) * wider)
    return float(min([allowed, *gaps]))


def suggest_data(fit: PowerLawFit, needed: float) -> tuple[dict[str, Any], str]:
    """Return the fields `how_much_denser` and `seeds_needed` of a verdict, and what would decide in words.

    Behind wide brackets a denser grid decides. Where scatter dominates and neighbours may scatter together, seeds do: gammas that
    share weights and batches hardly add to each other.
    """
    if fit.point and fit.edge == "eta_opt":
        return {}, f"more runs near the best rates, or a wider range of {fit.axis}, may decide it"
    if fit.point:
        return {}, "a longer window, or the slopes of more seeds, may decide it"
    with np.errstate(invalid="ignore"):
        cell2 = float(np.nanmean(np.log10(fit.upper / fit.lower)**2)) / 12
    half = max(fit.interval[1] - fit.exponent, fit.exponent - fit.interval[0])
    if not np.isfinite(half) or needed <= 0:
        return {}, "at this measured value, no grid of reasonable density would decide it"
    if fit.shared and fit.scatter**2 > cell2:
        # the next measured value may lie one standard error nearer to the rim
        seeds = int(np.ceil(fit.seed_count * (1.5 * half / needed)**2))
        if seeds > MOST_SEEDS:
            return {}, "at this measured value, no reasonable number of seeds would decide it"
        seeds = max(seeds, fit.seed_count + 1)
        return {"seeds_needed": seeds}, f"about {seeds} seeds would decide it" + (
            " (one was given; a model without randomness takes a finer grid)" if fit.seed_count == 1 else "")
    factor = _denser(fit, half, needed, cell2)
    if factor is None:
        return {}, "at this measured value, no grid of reasonable density would decide it"
    return {"how_much_denser": factor}, f"a grid {factor:.2g} times denser in {fit.axis} and eta would decide it"


def _denser(fit: PowerLawFit, half: float, needed: float, cell2: float) -> float | None:
    """Return how many times denser, in gamma and eta alike, a grid must be to decide; None beyond a factor of 1000.

    The interval's half-width goes as ``t(n-2) sqrt((s^2 + h^2/12)/n)`` with n and 1/h proportional to the density. To decide
    more often than not, the next measured value is allowed to lie one standard error nearer to the rim, and
    the scatter to be one standard error larger than found: behind wide brackets it is easily missed.
    """
    s2 = max(fit.scatter, 0.0)**2
    s2 += (s2 + cell2) * float(np.sqrt(2 / (fit.n - 2)))

    def width(factor: float) -> float:
        n = fit.n * factor
        return float(stdtrit(n - 2, 0.975)) * float(np.sqrt((s2 + cell2 / factor**2) / n))

    def lacks(log: float) -> float:
        n = fit.n * 10**log
        return half * width(10**log) / width(1.0) * (1 + 1 / float(stdtrit(n - 2, 0.975))) - needed

    if lacks(np.log10(DENSEST)) > 0:
        return None
    return float(10 ** brentq(lacks, 0.0, np.log10(DENSEST), xtol=1e-3)) if lacks(0.0) > 0 else 1.1
