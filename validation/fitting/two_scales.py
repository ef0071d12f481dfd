"""Fit a power law of two scales, ``eta ~ N^a D^b``, to brackets: least squares in three logs, errors by groups, a test for bending.

Where neither of two sizes is fixed, exponents cannot be fitted one by one. The intervals are the hull of two: Student's, with a variance
of at least a cell's, ``h^2/12``, and Student's with the error that the groups show, whose members may err together (a bootstrap over
groups, in the limit of many draws). A plane through a surface that is curved has no exponent: the law bends where both the rows'
scatter and the groups' exclude that the quadratic terms are zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_ndtr, stdtrit
from scipy.stats import f as fisher

from validation.arguments import Misuse, numbers, positive
from validation.fitting.likelihood import LOG_ROOT_2PI
from validation.fitting.result import FitOutcome, PowerLawFit, build_undecided_fit

LEAST, LEAST_GROUPS = 6, 4      # two-sided rows, groups
BEND, DRIFT = 0.01, 0.05        # level of the test, and the drift of a local exponent from which a bend counts
LEVELS = (0.95, 0.90)
FINEST = 1e-6                   # decades, the least width of a cell
ROUNDS = 50                     # of the conditional means of one-sided rows


@dataclass(frozen=True, eq=False)
class TwoScaleFit:
    """``eta = prefactor * N^a * D^b`` with the intervals of both exponents.

    Attributes
    ----------
    fits : by scale, its exponent as a `PowerLawFit`, which `validation.judge` takes: its rows are the brackets, moved along the other
        scale to the middle.
    outcome, reason : FITTED, or UNDECIDED with one sentence: too few rows, scales that do not vary apart, or a surface that bends.
    bend : p of the plane against one with quadratic terms; NaN with fewer than nine rows.
    local : by scale, its local exponents, least and largest over the rows, of the surface with quadratic terms.
    scatter : standard deviation of log10 eta about the plane, in decades.
    correlation : of the two exponents' errors.
    prefactor, n, n_censored, group_count : eta where both scales are 1, rows, rows with one end, groups.
    """

    fits: dict[str, PowerLawFit]
    outcome: FitOutcome
    reason: str = ""
    bend: float = float("nan")
    local: dict[str, tuple[float, float]] | None = None
    scatter: float = float("nan")
    correlation: float = float("nan")
    prefactor: float = float("nan")
    n: int = 0
    n_censored: int = 0
    group_count: int = 0

    @property
    def exponents(self) -> dict[str, float]:
        """The exponents by scale."""
        return {name: law.exponent for name, law in self.fits.items()}

    @property
    def sentence(self) -> str:
        """The fit in one line; where the surface bends, that is in it."""
        laws = ", ".join(f"exponent of {name} {law.exponent:.3f}, {law.interval[0]:.3f} to {law.interval[1]:.3f} (95%)"
                         if np.isfinite(law.exponent) else f"no exponent of {name}" for name, law in self.fits.items())
        return f"{laws} ({self.n} rows, {self.group_count} groups)" + (f"; but {self.reason}" if self.reason else "")


def fit_two_scales(scales: Mapping[str, ArrayLike], lower: ArrayLike, upper: ArrayLike, group: ArrayLike | None = None) -> TwoScaleFit:
    """Fit ``eta = A N^a D^b`` to brackets of a rate at several values of two scales.

    Parameters
    ----------
    scales : the two scales by name, (n,) each and > 0, such as ``{"params": N, "tokens": D}``.
    lower, upper : (n,), the rates between which the edge lies, NaN where it is open; equal where it is one number. A row with one end
        enters by its conditional mean.
    group : (n,), numbers or names of what may err together, such as the seed or the model. None: every row is its own.

    Returns
    -------
    TwoScaleFit : UNDECIDED with fewer than six two-sided rows or four groups, where the scales do not vary apart, and where the surface
        bends: the quadratic terms are excluded at 1%, and a local exponent moves by more than 0.05 over the rows. The plane's exponents
        are given nevertheless, in its sentence with that remark.

    Raises
    ------
    Misuse : not two scales; arrays of different lengths; a value that is not above zero; a lower end above the upper one.

    Examples
    --------
    >>> N, D = (a.ravel() for a in np.meshgrid([1e6, 1e7, 1e8], [1e8, 1e9, 1e10]))
    >>> found = fit_two_scales({"params": N, "tokens": D}, 0.9 * N**-0.5 * D**0.25, 1.1 * N**-0.5 * D**0.25)
    >>> {name: round(exponent, 3) for name, exponent in found.exponents.items()}
    {'params': -0.5, 'tokens': 0.25}
    """
    names, x, low, high, groups = _read(scales, lower, upper, group)
    seen = np.isfinite(low) | np.isfinite(high)
    x, low, high, groups = x[:, seen], low[seen], high[seen], groups[seen]
    two = np.isfinite(low) & np.isfinite(high)
    labels, of = np.unique(groups, return_inverse=True)
    known: dict[str, Any] = {"n": int(two.size), "n_censored": int((~two).sum()), "group_count": int(labels.size)}
    reason = ""
    if two.sum() < LEAST or labels.size < LEAST_GROUPS:
        reason = f"{int(two.sum())} rows have both ends, in {labels.size} groups; two exponents take {LEAST} rows and {LEAST_GROUPS} groups"
    elif np.linalg.cond(_center(x[:, two]) @ _center(x[:, two]).T) > 1e6:
        reason = f"{names[0]} and {names[1]} do not vary apart: their exponents cannot be separated"
    if reason:
        return TwoScaleFit({name: build_undecided_fit(reason, edge="eta", axis=name, point="row") for name in names},
                           FitOutcome.UNDECIDED, reason, **known)
    plane = np.vstack([np.ones(two.size), _center(x)]).T                # (n, 3)
    cell = max(float(np.sqrt(np.mean((high - low)[two]**2))), FINEST)
    y = _complete(plane, low, high, cell)
    coefficients, rest, s2 = _solve(plane, y, cell, int(two.sum()) - 3)
    plain = s2 * np.linalg.inv(plane.T @ plane)
    by_groups = _spread_groups(plane, y, of, labels.size)
    bend, local, drift = _find_bend(x, y, rest, cell, of, labels.size, int(two.sum()), coefficients[1:])
    if bend < BEND and max(drift) > DRIFT:
        worst = int(np.argmax(drift))
        reason = (f"the law bends: the local exponent of {names[worst]} goes from {local[worst][0]:.3g} to {local[worst][1]:.3g} over "
                  "the rows; no pair of exponents describes them")
    outcome = FitOutcome.UNDECIDED if reason else FitOutcome.FITTED
    fits = {}
    for i, name in enumerate(names):
        intervals = []
        for level in LEVELS:
            halves = [float(stdtrit(free, 0.5 + 0.5 * level)) * float(np.sqrt(cov[i + 1, i + 1]))
                      for free, cov in ((two.sum() - 3, plain), (labels.size - 2, by_groups))]
            intervals.append((coefficients[i + 1] - max(halves), coefficients[i + 1] + max(halves)))
        order = np.argsort(x[i], kind="stable")
        other = coefficients[2 - i] * _center(x)[1 - i]
        ends = ((10 ** (end - other))[order] for end in (low, high))
        fits[name] = PowerLawFit(
            exponent=float(coefficients[i + 1]), interval=_pair(intervals[0]), interval90=_pair(intervals[1]),
            prefactor=float(10 ** (coefficients[0] - coefficients[i + 1] * x[i].mean())), window=(float(10 ** x[i].min()),
            float(10 ** x[i].max())), n=known["n"], n_censored=known["n_censored"], outcome=outcome, reason=reason,
            scatter=float(np.sqrt(rest @ rest / (two.size - 3))), gamma=10 ** x[i][order], lower=next(ends), upper=next(ends),
            method="plane through the brackets' middles, hull with the errors of groups", edge="eta", axis=name, point="row",
            log10_centre=float(x[i].mean()), log10_level=float(coefficients[0]))
    errors = plain if labels.size == two.size else by_groups
    with np.errstate(over="ignore"):
        prefactor = float(np.float64(10.0) ** (coefficients[0] - coefficients[1:] @ x.mean(axis=1)))
    return TwoScaleFit(fits, outcome, reason, bend, dict(zip(names, local, strict=True)), fits[names[0]].scatter,
                       float(errors[1, 2] / np.sqrt(errors[1, 1] * errors[2, 2])), prefactor, **known)


def _read(scales: Any, lower: Any, upper: Any, group: Any) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the scales' names, their log10 (2, n), those of the brackets' ends (n,), and the groups (n,)."""
    if not isinstance(scales, Mapping) or len(scales) != 2 or not all(isinstance(name, str) and name for name in scales):
        raise Misuse(f"scales must be two arrays by name, such as {{'params': N, 'tokens': D}}, not {scales!r}")
    arrays = {name: np.atleast_1d(positive(f"scales[{name!r}]", values)) for name, values in scales.items()}
    ends = {name: np.atleast_1d(numbers(name, values)) for name, values in (("lower", lower), ("upper", upper))}
    first = next(iter(arrays.values()))
    groups = np.arange(first.size) if group is None else np.atleast_1d(np.asarray(group))
    for name, values in {**arrays, **ends, "group": groups}.items():
        if values.ndim != 1 or values.size != first.size:
            raise Misuse(f"{name} must have one dimension and the length of the first scale, {first.size}, not the shape {values.shape}")
    if groups.dtype.kind not in "iufU":
        raise Misuse(f"group must be numbers or names, one for each row, not {group!r}")
    low, high = ends["lower"], ends["upper"]
    for name, values in ends.items():
        positive(name, values[~np.isnan(values)])
    if (low > high).any():
        i = int(np.flatnonzero(low > high)[0])
        raise Misuse(f"lower must not exceed upper, but at index {i} it is {low[i]:g} and {high[i]:g}")
    return list(arrays), np.log10(np.stack(list(arrays.values()))), np.log10(low), np.log10(high), groups


def _center(x: np.ndarray) -> np.ndarray:
    return x - x.mean(axis=1, keepdims=True)


def _complete(plane: np.ndarray, low: np.ndarray, high: np.ndarray, cell: float) -> np.ndarray:
    """Return the brackets' middles (n,), and in place of an open one the mean beyond its end of a normal error about the plane."""
    two = np.isfinite(low) & np.isfinite(high)
    y = np.where(two, 0.5 * (np.where(two, low, 0.0) + np.where(two, high, 0.0)), 0.0)
    coefficients, _, s2 = _solve(plane[two], y[two], cell, int(two.sum()) - 3)
    if two.all():
        return y
    above = np.isfinite(low[~two])
    end, side = np.where(above, low[~two], high[~two]), np.where(above, 1.0, -1.0)
    for _ in range(ROUNDS):
        line, sigma = plane[~two] @ coefficients, np.sqrt(s2)
        z = side * (end - line) / sigma
        y[~two] = line + side * sigma * np.exp(-0.5 * z * z - LOG_ROOT_2PI - log_ndtr(-z))
        before = coefficients
        coefficients, rest, _ = _solve(plane, y, cell, int(two.sum()) - 3)
        s2 = max(float(rest[two] @ rest[two]) / max(int(two.sum()) - 3, 1), cell**2 / 12)
        if np.abs(coefficients - before).max() < 1e-9:
            break
    return y


def _solve(design: np.ndarray, y: np.ndarray, cell: float, free: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Return least squares' coefficients, residuals (n,) and variance, at least that of a cell."""
    coefficients, *_ = np.linalg.lstsq(design, y, rcond=None)
    rest = y - design @ coefficients
    return coefficients, rest, max(float(rest @ rest) / max(free, 1), cell**2 / 12)


def _spread_groups(design: np.ndarray, y: np.ndarray, of: np.ndarray, groups: int) -> np.ndarray:
    """Return the covariance of the coefficients under errors that are independent between groups alone.

    It is the limit of a bootstrap that flips the signs of whole groups' residuals, each group's predicted without it (CR3; Bell &
    McCaffrey, Survey Methodology 28, 169, 2002). No draw lacks a value of a scale, as one that draws rows can.
    """
    inverse = np.linalg.inv(design.T @ design)
    rest = y - design @ (inverse @ design.T @ y)
    middle = np.zeros_like(inverse)
    for group in range(groups):
        part = design[of == group]
        apart = np.eye(len(part)) - part @ inverse @ part.T
        score = part.T @ (np.linalg.pinv(apart, rcond=1e-8, hermitian=True) @ rest[of == group])
        middle += np.outer(score, score)
    return inverse @ middle @ inverse


def _find_bend(x: np.ndarray, y: np.ndarray, rest: np.ndarray, cell: float, of: np.ndarray, groups: int, n: int,
               slopes: np.ndarray) -> tuple[float, list[tuple[float, float]], list[float]]:
    """Return p of the plane against quadratic terms, each scale's least and largest local exponent, and how far it moves."""
    u, v = _center(x)
    terms = [u * u, u * v, v * v]
    design = np.vstack([np.ones_like(u), u, v, *(term for term in terms)]).T
    rank = int(np.linalg.matrix_rank(design / np.linalg.norm(design, axis=0), tol=1e-6))
    still = [(float(slope), float(slope)) for slope in slopes]
    if rank < 6 or n < 9:
        return np.nan, still, [0.0, 0.0]
    coefficients, left, s2 = _solve(design, y, cell, n - 6)
    shift = coefficients[3:]
    by_rows = float(rest @ rest - left @ left) / 3 / s2
    # the same terms, by the spread of the groups
    cov = _spread_groups(design, y, of, groups)[3:, 3:]
    cov += np.eye(3) * 1e-12 * np.trace(cov) + np.eye(3) * 1e-30
    by_groups = float(shift @ np.linalg.solve(cov, shift)) / 3
    free = max(groups - 3, 1)
    p = max(float(fisher.sf(by_rows, 3, n - 6)), float(fisher.sf(by_groups, 3, free)))
    at_u, at_v = coefficients[1] + 2 * shift[0] * u + shift[1] * v, coefficients[2] + shift[1] * u + 2 * shift[2] * v
    local = [(float(at.min()), float(at.max())) for at in (at_u, at_v)]
    return p, local, [high - low for low, high in local]


def _pair(ends: tuple[Any, Any]) -> tuple[float, float]:
    return float(ends[0]), float(ends[1])
