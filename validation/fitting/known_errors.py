"""What points with known errors say of a curve's coefficients, when the scatter between them is unknown: a random-effects regression.

A point's variance is that of its own error, which is known, and of a scatter, which is not: how differently the rows would lie without any
error. The scatter is the least one with which the weighted squares are not more than their degrees of freedom (Paule & Mandel, J. Res.
Natl. Bur. Stand. 87, 377, 1982), and the intervals are Student's with those squares (Knapp & Hartung, Stat. Med. 22, 2693, 2003): they
cover if the errors are right up to a factor. What the grid of rates causes is no scatter: it is the same wherever the minimum lies at the
same place between two rates, and may drift along the axis like a slope. Its covariance is given, and is added in quadrature.

A row that is a bracket, or has one end only, enters as the working response that has its likelihood's score and information at the
likeliest curve (Green, J. R. Stat. Soc. B 46, 149, 1984).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtri, stdtrit

from validation.fitting.likelihood import LOG_ROOT_2PI, bracket_mass

ROUNDS = 100
LEAST_WEIGHT = 1e-9        # of a point's, of a bracket through whose middle the curve passes


@dataclass(frozen=True)
class Estimate:
    """A combination of coefficients: its value, standard errors by scatter and by the grid, and the degrees of freedom of the first."""

    value: float
    by_scatter: float
    by_grid: float
    free: int

    def half_width(self, level: float) -> float:
        """Return half of the width of the interval of a level."""
        q = 0.5 + 0.5 * level
        return float(np.hypot(stdtrit(self.free, q) * self.by_scatter, ndtri(q) * self.by_grid))

    def interval(self, level: float) -> tuple[float, float]:
        """Return the central interval of a level."""
        half = self.half_width(level)
        return self.value - half, self.value + half

    def excludes_zero_at(self) -> float:
        """Return the highest level at which the interval leaves out zero."""
        most = 1 - 1e-9
        if self.half_width(most) < abs(self.value):
            return most
        return float(brentq(lambda level: self.half_width(level) - abs(self.value), 0.0, most))


@dataclass(frozen=True)
class PointsAndBrackets:
    """Rows of a regression, in decades: points with known errors, and brackets where there is no point.

    Attributes
    ----------
    x : (n,), increasing.
    place, error : (n,), a point and its standard error; NaN in rows that are brackets.
    lower, upper : (n,), the bracket, of which one end may be infinite; of a point it is not used.
    grid : (n, n), the covariance of what the grid of rates causes; used between points.
    """

    x: np.ndarray
    place: np.ndarray
    error: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    grid: np.ndarray

    @property
    def seen(self) -> np.ndarray:
        """Which rows are points, (n,)."""
        return np.isfinite(self.place)

    def estimate(self, columns: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, float, list[Estimate]]:
        """Return the likeliest coefficients, the scatter and estimates of combinations.

        Parameters
        ----------
        columns : (n, p), the curve is their sum with unknown coefficients; more than p rows must be points.
        wanted : (m, p), the combinations.

        Returns
        -------
        tuple of the coefficients (p,), the scatter in decades, and an `Estimate` for each combination.
        """
        seen = self.seen
        design, y, own = columns[seen], self.place[seen], self.error[seen]**2
        grid = self.grid[np.ix_(seen, seen)]
        free = int(seen.sum()) - columns.shape[1]
        scatter2, squares = _find_scatter(design, y, np.diag(own) + grid, free)
        variance = np.full(seen.size, scatter2 + float(np.median(own)))
        variance[seen] = scatter2 + own
        coefficients = _solve(design, y, 1 / variance[seen])
        weight = np.where(seen, 1 / variance, 0.0)
        if not seen.all():
            coefficients, weight = self._climb(columns, coefficients, variance)
        spread = np.linalg.inv(columns.T @ (weight[:, None] * columns))
        by_points = wanted @ spread @ (design * weight[seen, None]).T       # (m, points)
        estimates = []
        for row, by in zip(wanted, by_points, strict=True):
            estimates.append(Estimate(float(row @ coefficients), float(np.sqrt(row @ spread @ row * squares / free)),
                                      float(np.sqrt(max(by @ grid @ by, 0.0))), free))
        return coefficients, float(np.sqrt(scatter2)), estimates

    def _climb(self, columns: np.ndarray, coefficients: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the likeliest coefficients of points and brackets, and the weight (information) of each row there."""
        seen = self.seen
        two = ~seen & np.isfinite(self.lower) & np.isfinite(self.upper)
        one = ~seen & ~two
        side = np.where(np.isfinite(self.lower), 1.0, -1.0)
        sd = np.sqrt(variance)
        weight = np.where(seen, 1 / variance, 0.0)
        for _ in range(ROUNDS):
            curve = columns @ coefficients
            score = np.where(seen, (np.where(seen, self.place, 0.0) - curve) / variance, 0.0)
            if two.any():
                m = (0.5 * (self.lower[two] + self.upper[two]) - curve[two]) / sd[two]
                _, mean, k = bracket_mass(m, (self.upper - self.lower)[two] / sd[two])
                score[two] = mean / sd[two]
                weight[two] = np.maximum(mean * mean + k - m * mean, LEAST_WEIGHT) / variance[two]
            if one.any():
                end = np.where(np.isfinite(self.lower[one]), self.lower[one], self.upper[one])
                z = side[one] * (end - curve[one]) / sd[one]
                ratio = np.exp(-0.5 * z * z - LOG_ROOT_2PI - log_ndtr(-z))
                score[one] = side[one] * ratio / sd[one]
                weight[one] = np.maximum(ratio * (ratio - z), LEAST_WEIGHT) / variance[one]
            step = np.linalg.solve(columns.T @ (weight[:, None] * columns), columns.T @ score)
            # far outside of a bracket a whole step may pass its other side
            most = float(np.max(np.abs(columns @ step) / sd))
            coefficients = coefficients + step * min(1.0, 2.0 / max(most, 1e-300))
            if most < 1e-9:
                break
        return coefficients, weight


def _solve(design: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    root = np.sqrt(weight)
    return np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]


def _find_scatter(design: np.ndarray, y: np.ndarray, known: np.ndarray, free: int) -> tuple[float, float]:
    """Return the scatter's variance with which the squares of the residuals are their degrees of freedom, or 0, and these squares."""
    base = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    rest = y - base

    def weigh(scatter2: float) -> float:
        inverse = np.linalg.inv(known + scatter2 * np.eye(y.size))
        turned = design.T @ inverse
        return float(rest @ inverse @ rest - turned @ rest @ np.linalg.solve(turned @ design, turned @ rest))

    squares = weigh(0.0)
    if squares <= free:
        return 0.0, max(squares, 0.0)
    most = float(rest @ rest) / free                                    # with which they are less
    found = brentq(lambda scatter2: weigh(scatter2) - free, 0.0, most, xtol=1e-6 * most) if weigh(most) < free else most
    return float(found), float(free)
