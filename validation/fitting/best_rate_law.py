"""Fit a power law to the best rates of several sizes: vertices with known errors, and brackets where there is no vertex."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from validation.fitting.bending import Bend
from validation.fitting.brackets import rows
from validation.fitting.known_errors import PointsAndBrackets
from validation.fitting.powerlaw import LEAST, LEAST_BENT, describe_bend, describe_rows
from validation.fitting.result import FitOutcome, PowerLawFit
from validation.fitting.vertex import FINEST

ENDS = 0.80            # level of the local exponents' intervals
BEND_LEVEL = 0.95      # of independent sizes, of which there are few, at which a bend counts


def fit_best_rates(best: xr.Dataset, window: tuple[float, float] | None = None) -> PowerLawFit | None:
    """Fit ``eta_opt = A x^b`` to the best rates of runs whose errors are independent between values of x.

    A vertex is a point with its error by noise; the scatter between sizes is estimated; and the shape of the curves moves vertices at the
    same place between two rates alike (`validation.fitting.known_errors`). A best rate without a vertex is a bracket.

    Parameters
    ----------
    best : as from `validation.optimum_from_runs`.
    window : (low, high) in x; None: all.

    Returns
    -------
    PowerLawFit : None where fewer than three values of x, or fewer than half of them, have a vertex: brackets alone are fitted by
        `validation.fit`.

    Raises
    ------
    Misuse : those of `validation.fitting.brackets.rows`.
    """
    data = rows(best.assign(eta=best["interpolated"]), "eta_opt")
    data = data if window is None else data.between(window)
    one = best.sel(gamma=data.gamma)
    place, error, shape, phase = (one[name].values for name in ("vertex", "error", "shape_error", "phase"))
    finest = FINEST * np.nan_to_num(one["step"].values)
    seen = np.isfinite(place)
    if seen.sum() < max(LEAST, 0.5 * seen.size):
        return None
    points = PointsAndBrackets(data.x, np.log10(place), np.hypot(error, finest), data.lower, data.upper,
                               relate_phases(phase, shape) + np.diag(finest**2))
    centre, half = float(data.x.mean()), 0.5 * float(np.ptp(data.x))
    t = (data.x - centre) / half
    line = np.stack([np.ones_like(t), t], axis=1)
    coefficients, scatter, [slope] = points.estimate(line, np.array([[0.0, 1 / half]]))
    known: dict[str, Any] = describe_rows(data) | ({} if window is None else {"window": window})
    level = float(coefficients[0])
    with np.errstate(over="ignore", under="ignore"):
        prefactor = float(np.float64(10.0) ** (level - slope.value * centre))
    law = PowerLawFit(
        exponent=slope.value, interval=slope.interval(0.95), interval90=slope.interval(0.90), prefactor=prefactor, scatter=scatter,
        outcome=FitOutcome.FITTED, log10_centre=centre, log10_level=level, edge="eta_opt", axis=data.axis, shared=False,
        method="vertices with their errors, scatter between them estimated; Knapp-Hartung intervals, and the shape's error in quadrature",
        bend=_find_bend(points, line, t, half) if seen.sum() >= LEAST_BENT else None, **known)
    reason = describe_bend(law, data.gamma[seen], BEND_LEVEL)
    return law if not reason else replace(law, outcome=FitOutcome.UNDECIDED, reason=reason)


def relate_phases(phase: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Return the covariance (n, n) of errors that are a periodic function of the phase, one period a step, of given deviations (n,).

    Rows of one phase err alike. A phase that drifts along the axis moves the errors along, as a slope does.
    """
    known = np.isfinite(phase)
    place, size = np.where(known, phase, 0.0), np.where(known, deviation, 0.0)
    alike = np.cos(2 * np.pi * (place[:, None] - place[None]))
    return np.asarray(size[:, None] * size[None] * alike)


def _find_bend(points: PointsAndBrackets, line: np.ndarray, t: np.ndarray, half: float) -> Bend:
    """Return what the rows report of a bend: the quadratic term's interval, and the local exponents at both ends; t lies about -1 to 1."""
    first, last = float(t[0]), float(t[-1])
    columns = np.column_stack([line, t**2])
    wanted = np.array([[0, 0, 1.0], [0, 1 / half, 2 * first / half], [0, 1 / half, 2 * last / half]])
    _, _, (second, low, high) = points.estimate(columns, wanted)
    return Bend(second.excludes_zero_at(), low.value, high.value, abs(high.value - low.value), (low.interval(ENDS), high.interval(ENDS)))
