"""Collapse curves at different gamma onto each other by measuring time in units of gamma^a.

With tau = t / gamma^a, the best a minimizes the variance between curves at equal tau as a fraction of the total variance.
(Bhattacharjee and Seno's measure, J. Phys. A 34, 6375, 2001, did no better; the jackknife over curves covers 92-100%.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.optimize import minimize_scalar
from scipy.special import stdtrit

from validation.arguments import Misuse, axis
from validation.fitting.result import NOTHING, FitOutcome

GRID = 256          # points of log tau
LEAST_CURVES = 4
LEAST_OVERLAP = 0.4   # of the mean curve's extent in log time; beyond, a few shared points would fall together by chance


@dataclass(frozen=True, eq=False)
class CollapseFit:
    """The time unit gamma^exponent in which curves fall together.

    Attributes
    ----------
    exponent, interval : a and its 95% interval (jackknife over curves).
    score : variance between curves over total variance at the best a: 0 is a perfect collapse, about 1 none.
    outcome, reason : FITTED, or UNDECIDED with one sentence.
    gamma : shape (n,), the curves used.
    without : shape (n,), the exponent without each curve. A time shift at finite gamma biases the exponent: if leaving out
        the smallest gamma moves it one way, refit without the smallest ones.
    """

    exponent: float
    interval: tuple[float, float]
    score: float
    outcome: FitOutcome
    reason: str = ""
    gamma: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False)
    without: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False)

    @property
    def sentence(self) -> str:
        """The fit in one line."""
        if self.outcome is not FitOutcome.FITTED:
            return f"no collapse: {self.reason}"
        return (f"{self.gamma.size} curves, gamma {self.gamma[0]:.3g} to {self.gamma[-1]:.3g}, fall together in t/gamma^a with "
                f"a = {self.exponent:.3f}, 95% interval {self.interval[0]:.3f} to {self.interval[1]:.3f}; "
                f"{self.score:.2g} of the variance stays between them")


def fit_collapse(curves: Any, time: Any, gamma: Any, bounds: tuple[float, float] = (-4.0, 4.0)) -> CollapseFit:
    """Find the a for which the curves, as functions of ``tau = time / gamma^a``, fall together.

    Parameters
    ----------
    curves : shape (gamma, time), an array or a DataArray; NaN where a curve has ended. In units in which they should agree.
    time : shape (time,) or (gamma, time), increasing; times at or below zero are left out (for tau = eta t/gamma^a pass
        eta t).
    gamma : shape (gamma,), increasing.
    bounds : the least and the largest a.

    Returns
    -------
    CollapseFit : UNDECIDED with fewer than four usable curves, or where the best a lies on the bounds' rim.

    Raises
    ------
    Misuse : shapes that do not fit, a gamma axis that does not increase, times that do not, or bounds that are no pair.
    """
    gamma = axis("gamma", getattr(gamma, "values", gamma))
    dims = getattr(curves, "dims", None)
    if dims is not None and "gamma" in dims and "time" in dims:
        curves = curves.transpose("gamma", "time")
    try:
        y, t = np.asarray(curves, dtype=np.float64), np.asarray(time, dtype=np.float64)
        low, high = (float(b) for b in bounds)
    except (TypeError, ValueError):
        raise Misuse("curves, time and bounds must be numbers, bounds a pair (low, high)") from None
    if not low < high:
        raise Misuse(f"bounds must be a pair (low, high) with low < high, not ({low:g}, {high:g})")
    if y.ndim != 2 or y.shape[0] != gamma.size:
        raise Misuse(f"curves must have the shape (gamma, time), gamma being {gamma.size} long, not {y.shape}")
    if t.shape not in ((y.shape[1],), y.shape):
        raise Misuse(f"time must have the shape ({y.shape[1]},) or {y.shape}, not {t.shape}")
    t = np.broadcast_to(t, y.shape)
    if not np.isfinite(t).all() or (np.diff(t, axis=1) <= 0).any():
        raise Misuse("time must be finite and increase strictly")

    good = (t > 0) & np.isfinite(y)
    usable = np.flatnonzero(good.sum(axis=1) >= 4)
    if usable.size < LEAST_CURVES:
        reason = f"{usable.size} curves have four finite points at positive times; a collapse with an interval takes {LEAST_CURVES}"
        return CollapseFit(np.nan, NOTHING, np.nan, FitOutcome.UNDECIDED, reason, gamma[usable])
    # monotone between its points: a cubic that overshoots in noise would invent differences, a chord at early times too
    pieces = [PchipInterpolator(np.log10(t[i, good[i]]), y[i, good[i]], extrapolate=False) for i in usable]
    gamma = gamma[usable]
    x = np.log10(gamma)
    best, score = _best(pieces, x, low, high)
    if score >= 1 or min(best - low, high - best) < 1e-3 * (high - low):
        reason = ("no time unit makes the curves fall together while they overlap" if score >= 1
                  else f"the best exponent lies on the rim of {bounds}")
        return CollapseFit(best, NOTHING, score, FitOutcome.UNDECIDED, reason, gamma)
    n = gamma.size
    near = 0.25 * (high - low)
    without = np.array([_best([p for k, p in enumerate(pieces) if k != i], np.delete(x, i),
                              max(low, best - near), min(high, best + near), coarse=21)[0] for i in range(n)])
    error = float(np.sqrt((n - 1) / n * np.sum((without - without.mean())**2)))
    half = float(stdtrit(n - 1, 0.975)) * error
    return CollapseFit(best, (best - half, best + half), score, FitOutcome.FITTED, gamma=gamma, without=without)


def _best(pieces: list[PchipInterpolator], x: np.ndarray, low: float, high: float,
          coarse: int = 61) -> tuple[float, float]:
    """Return the a of least score and the score, by a scan and a bounded search around its least."""
    grid = np.linspace(low, high, coarse)
    scores = [_score(pieces, x, a) for a in grid]
    k = int(np.argmin(scores))
    ends = grid[max(k - 1, 0)], grid[min(k + 1, coarse - 1)]
    found = minimize_scalar(lambda a: _score(pieces, x, a), bounds=ends, method="bounded", options={"xatol": 1e-6})
    if found.fun <= scores[k]:
        return float(found.x), float(found.fun)
    return float(grid[k]), float(scores[k])


def _score(pieces: list[PchipInterpolator], x: np.ndarray, a: float) -> float:
    """Return the variance between curves over the total variance, 1 where they hardly overlap."""
    low, high = (np.array([piece.x[end] for piece in pieces]) - a * x for end in (0, -1))
    u = np.linspace(low.min(), high.max(), GRID)
    values = np.stack([piece(u + a * s) for piece, s in zip(pieces, x, strict=True)])     # (curve, GRID), NaN beyond
    here = np.isfinite(values)
    count = here.sum(axis=0)
    shared = count >= 2
    extent = float(np.mean(high - low)) / (u[1] - u[0])
    if (here & shared).sum() < LEAST_OVERLAP * extent * len(pieces) or not shared.any():
        return 1.0
    values, here, count = values[:, shared], here[:, shared], count[shared]
    mean = np.where(here, values, 0).sum(axis=0) / count
    between = float(np.sum(np.where(here, values - mean, 0)**2 * (count / (count - 1)))) / float(count.sum())
    inside = values[here]
    total = float(np.mean((inside - inside.mean())**2))
    return min(1.0, between / total) if total > 0 else 1.0
