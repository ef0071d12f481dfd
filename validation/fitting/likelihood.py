"""Fit a line to brackets: the interval-censored Gaussian likelihood, its profile, the feasible slopes, and least squares.

The model: ``y_i = a + b x_i + sigma z_i`` with standard normal z, of which only ``lower_i <= y_i <= upper_i`` is known.
With ``alpha = a/sigma, beta = b/sigma, tau = 1/sigma`` each bracket contributes
``log[Phi(tau u - alpha - beta x) - Phi(tau l - alpha - beta x)]``, jointly concave in the
three (Burridge, J. R. Stat. Soc. B 43, 41, 1981). Scatter far below a bracket's width cannot be seen, and sigma is held
above a fraction of it: otherwise the few slopes that happen to touch every bracket would make the whole interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, stdtrit

LOG_ROOT_2PI = 0.5 * np.log(2 * np.pi)
LEAST_SCATTER = (0.05, 0.12)   # of the median bracket's width; see `fit_line`
NARROW = 1e-3    # brackets narrower than this many sigma are integrated by their series, without cancellation


def bracket_mass(m: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what the standard normal gives to brackets ``m +- w/2``: log mass, mean of z inside, and ``k``.

    ``k = (w/2) (phi(A) + phi(B)) / Z`` with the ends A, B and the mass Z; it tends to 1 as w -> 0. All shapes are m's.
    Errors stay below 1e-9 from w = 1e-12 upwards and for any m that does not underflow.
    """
    narrow = w <= NARROW
    if narrow.all():
        return _narrow_mass(m, w)
    # the tail on the left, where log Phi is exact
    left, right = -np.abs(m) - 0.5 * w, -np.abs(m) + 0.5 * w
    below, top = log_ndtr(left), log_ndtr(right)
    log_mass = top + np.log1p(-np.exp(np.minimum(below - top, -1e-300)))
    at_left = np.exp(-0.5 * left * left - LOG_ROOT_2PI - log_mass)
    at_right = np.exp(-0.5 * right * right - LOG_ROOT_2PI - log_mass)
    mean, k = np.sign(m) * (at_right - at_left), 0.5 * w * (at_right + at_left)
    if narrow.any():
        log_mass[narrow], mean[narrow], k[narrow] = _narrow_mass(m[narrow], w[narrow])
    return log_mass, mean, k


def _narrow_mass(m: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return `bracket_mass` by its series in w: ``Z = phi(m) w sinh(q)/q (1 - w^2 E[t^2]/8)`` with ``q = m w/2``.

    t lies in [-1, 1] with density ~ exp(-q t). No difference of nearly equal numbers is taken.
    """
    q = 0.5 * m * w
    near = np.abs(q) < 1e-4
    size = np.where(near, 1.0, np.abs(q))
    middle = -0.5 * m * m - LOG_ROOT_2PI
    log_sinhc = np.where(near, q * q / 6, size + np.log(-np.expm1(-2 * size)) - np.log(2 * size))
    half = np.minimum(size, 350.0)
    second = np.where(near, 1 / 3 + 2 * q * q / 45, 1 - 2 * (half / np.tanh(half) - 1) / half**2)
    log_mass = middle + np.log(w) + log_sinhc - w * w / 8 * second
    # phi(A) -+ phi(B) = 2 phi(m) exp(-w^2/8) {sinh, cosh}(q)
    scale = np.exp(np.maximum(middle - w * w / 8 + np.where(near, 0.0, size) - log_mass, -745.0))
    odd = np.where(near, 2 * q + q**3 / 3, np.sign(q) * -np.expm1(-2 * size))
    even = np.where(near, 2 + q * q, 1 + np.exp(-2 * size))
    return log_mass, scale * odd, 0.5 * w * scale * even


@dataclass(frozen=True)
class Brackets:
    """The likelihood of ``sum_k coefficient_k column_k`` through brackets, in units in which the scatter is about 1.

    Attributes
    ----------
    low, high : shape (n,), the brackets; infinite where one-sided.
    most : the largest tau, 1 / the least scatter.
    """

    low: np.ndarray
    high: np.ndarray
    most: float

    def climb(self, columns: np.ndarray, start: np.ndarray, shift: np.ndarray | float = 0.0,
              rounds: int = 80) -> tuple[float, np.ndarray, np.ndarray]:
        """Maximise over coefficients/sigma and tau = 1/sigma by damped Newton steps; the problem is concave.

        Parameters
        ----------
        columns : shape (p, n), the regression's.
        start : shape (p + 1,), coefficients times tau, and tau.
        shift : subtracted from the brackets, a part of the curve that is held fixed.

        Returns
        -------
        tuple of the log likelihood, the parameters (tau stays at or below `most`), and the derivative of the likelihood in `shift`, (n,).
        """
        low, high = self.low - shift, self.high - shift
        two = np.isfinite(low) & np.isfinite(high)
        below = np.isfinite(high[~two])
        to_m = np.vstack([-columns[:, two], 0.5 * (low + high)[two]])
        to_w = np.vstack([np.zeros_like(columns[:, two]), (high - low)[two]])
        to_c = np.vstack([-columns[:, ~two], np.where(below, high[~two], low[~two])]) * np.where(below, 1.0, -1.0)
        theta = np.array(start, dtype=np.float64)
        flat = np.diag_indices(theta.size)
        theta[-1] = min(theta[-1], self.most)
        value, parts = self._value(theta, to_m, to_w, to_c)
        for _ in range(rounds):
            m, w, e, k, ratio, c = parts
            by_w = k / w
            gradient = to_m @ -e + to_w @ by_w + to_c @ ratio
            mm, mw, ww = m * e - k - e * e, by_w * (e - m) + 0.25 * w * e, 0.25 * (m * e - k) - by_w * by_w
            cross = (to_m * mw) @ to_w.T
            hessian = ((to_m * mm) @ to_m.T + cross + cross.T + (to_w * ww) @ to_w.T
                       - (to_c * (ratio * (ratio + c))) @ to_c.T)
            curvature = -hessian
            curvature[flat] *= 1 + 1e-13                             # a flat direction must not blow the step up
            step = np.linalg.solve(curvature, gradient)
            if theta[-1] >= self.most and (gradient[-1] >= 0 or step[-1] > 0):       # at the bound, and the step would leave it
                step[:-1], step[-1] = np.linalg.solve(curvature[:-1, :-1], gradient[:-1]), 0.0
            gain = float(gradient @ step)
            if not np.isfinite(gain) or gain < 1e-9:
                break
            size = 1.0
            if theta[-1] + step[-1] > self.most:
                size = (self.most - theta[-1]) / step[-1]
            elif theta[-1] + step[-1] <= 0:
                size = -0.9 * theta[-1] / step[-1]
            if size <= 0:
                break
            for _ in range(40):
                trial = theta + size * step
                if trial[-1] > self.most * (1 - 1e-12):
                    trial[-1] = self.most
                trial_value, trial_parts = self._value(trial, to_m, to_w, to_c)
                if trial_value > value:
                    break
                size *= 0.5
            else:
                break
            theta, value, parts = trial, trial_value, trial_parts
        by_shift = np.empty(low.size)
        by_shift[two] = parts[2] * theta[-1]
        by_shift[~two] = -parts[4] * np.where(below, theta[-1], -theta[-1])
        return value, theta, by_shift

    def _value(self, theta: np.ndarray, to_m: np.ndarray, to_w: np.ndarray, to_c: np.ndarray) -> tuple:
        m, w, c = theta @ to_m, theta @ to_w, theta @ to_c
        log_mass, e, k = bracket_mass(m, w)
        if not c.size:
            return float(log_mass.sum()), (m, w, e, k, c, c)
        tail = log_ndtr(c)
        ratio = np.exp(-0.5 * c * c - LOG_ROOT_2PI - tail)
        return float(log_mass.sum() + tail.sum()), (m, w, e, k, ratio, c)


def feasible_slopes(x: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[float, float]:
    """Return the least and the largest slope of a line through all brackets; the least is the larger if there is none.

    At slope b a line passes if every ``l_i - b x_i <= u_j - b x_j``: the pairs decide, and no program need be solved.
    """
    i, j = np.triu_indices(x.size, 1)
    run = x[j] - x[i]
    least = np.max((lower[j] - upper[i]) / run, initial=-np.inf)
    return float(least), float(np.min((upper[j] - lower[i]) / run, initial=np.inf))


def least_squares(x: np.ndarray, middle: np.ndarray, width: np.ndarray, level: float) -> tuple[float, float, float]:
    """Return slope, the half-width of its interval at `level`, and s: OLS on the middles, but s^2 >= mean h^2/12."""
    dx = x - x.mean()
    slope = float(dx @ middle / (dx @ dx))
    rest = middle - middle.mean() - slope * dx
    s = float(np.sqrt(max(rest @ rest / (x.size - 2), np.mean(width**2) / 12)))
    return slope, float(stdtrit(x.size - 2, 0.5 + level / 2)) * s / float(np.sqrt(dx @ dx)), s


@dataclass(frozen=True)
class LineFit:
    """A line through brackets: slope, level at `centre`, scatter (decades), and intervals of the slope by level."""

    slope: float
    level: float
    centre: float
    scatter: float
    intervals: dict[float, tuple[float, float]]
    likelihood: float


def fit_line(x: np.ndarray, lower: np.ndarray, upper: np.ndarray, levels: tuple[float, ...] = (0.90, 0.95)) -> LineFit:
    """Fit a line to brackets, at least three of them two-sided, and return it with intervals of the slope.

    The interval is a hull. (i) The likelihood's profile, cut at ``n log(1 + t^2/(n-2))``: for points that is Student's interval
    exactly. The least scatter that is allowed matters where the scatter is a small part of a cell, and no one value of it
    covers everywhere: 0.05 cells fail on common lattices (82%), 0.12 where the edge's phase in its cell drifts slowly (68%);
    both are taken. (ii) The slopes of all lines through all brackets, if there are any: if nothing scatters the truth is
    among them, on whatever lattice. ``tests/benchmarks/interval_coverage.py`` measures the coverage.

    Parameters
    ----------
    x, lower, upper : shape (n,), in decades; infinite ends are censored.
    levels : the intervals' levels, in increasing order.

    Returns
    -------
    LineFit : its slope is the weighted least-squares one of the middles, with censored rows the likeliest one.
    """
    two = np.isfinite(lower) & np.isfinite(upper)
    centre = float(x[two].mean())
    dx = x - centre
    middle, width = 0.5 * (lower[two] + upper[two]), (upper - lower)[two]
    base = float(middle.mean())
    guess, _, s = least_squares(dx[two], middle, width, 0.95)
    # in these units the scatter is about 1, whether the brackets are cells of half a decade or bisected to 1e-9
    spread = float(np.sqrt(np.mean(dx[two]**2)))
    low, high = ((end - base - guess * dx) / s for end in (lower, upper))
    dx = dx / spread
    cell = float(np.median(width)) / s

    fits = []
    for floor in LEAST_SCATTER:
        brackets = Brackets(low, high, most=1 / (floor * cell))
        top, theta, _ = brackets.climb(np.stack([np.ones_like(dx), dx]), np.array([0.0, 0.0, 1.0]))
        fits.append((top, theta, *_profile(brackets, dx, top, theta, levels, int(two.sum()))))
        if fits[0][3] * LEAST_SCATTER[-1] * cell < 1:
            break                                            # the scatter is seen: a higher floor changes nothing
    least, largest = feasible_slopes(dx, low, high)
    intervals = {}
    for level in levels:
        ends = [end for _, _, found, _ in fits for end in found[level]] + ([least, largest] if least < largest else [])
        intervals[level] = (float(min(ends) * s / spread + guess), float(max(ends) * s / spread + guess))
    top, theta = fits[0][:2]
    scatter = 0.0 if theta[2] * LEAST_SCATTER[0] * cell >= 1 - 1e-9 else float(s / theta[2])
    slope, level = guess + float(theta[1] / theta[2]) * s / spread, base + float(theta[0] / theta[2]) * s
    if two.all():
        # The likelihood is nearly flat while lines pass through all brackets, and where in the flat its top lies depends on
        # the lattice (bias up to 0.2 cells). The middles' mean error is none, on any lattice, over the phases of the edge.
        weight = 1 / (scatter**2 + width**2 / 12)
        centre = float(weight @ x / weight.sum())
        slope = float(weight * (x - centre) @ middle / (weight * (x - centre) @ (x - centre)))
        slope = float(np.clip(slope, *intervals[levels[0]]))
        level = float(weight @ middle / weight.sum())
    return LineFit(slope, level, centre, scatter, intervals, top)


def _profile(brackets: Brackets, dx: np.ndarray, top: float, theta: np.ndarray, levels: tuple[float, ...],
             two: int) -> tuple[dict[float, tuple[float, float]], float]:
    """Return the profile's interval at each level, and the largest tau met at the greatest likelihood or at an end."""
    ends = {side: _End(brackets, dx, side, top, float(theta[1] / theta[2]), theta[[0, 2]]) for side in (-1, 1)}
    found, largest = {}, float(theta[2])
    for level in levels:
        t = float(stdtrit(two - 2, 0.5 + level / 2))
        goal = float(np.sqrt(dx.size * np.log1p(t * t / (two - 2))))
        found[level] = (ends[-1].find(goal), ends[1].find(goal))
        largest = max(largest, *(float(end.state[1]) for end in ends.values()))
    return found, largest


class _End:
    """Where the profile's signed root deviance, ``sqrt(2 (top - value))``, reaches a goal on one side; it is nearly linear in the slope.

    Attributes
    ----------
    slope, state : of the last place, and the parameters there.
    """

    def __init__(self, brackets: Brackets, dx: np.ndarray, side: int, top: float, best: float, state: np.ndarray) -> None:
        self.brackets, self.dx, self.side, self.top, self.slope, self.state = brackets, dx, side, top, best, state
        self.flat, self.root, self.rise = np.ones((1, dx.size)), 0.0, float(np.sqrt(dx.size))

    def find(self, goal: float) -> float:
        """Return the slope where the root deviance is `goal`, which must not fall from call to call; infinite if there is none."""
        low, high = self.slope, self.side * np.inf       # the crossing lies between
        scale = goal / self.rise
        for _ in range(80):
            if not np.isfinite(self.slope):
                return self.slope
            step = (goal - self.root) / self.rise
            # where the likelihood ceases to be flat the root deviance rises steeply, and a small step alone is not the end
            if abs(step) <= 1e-4 * scale and abs(goal - self.root) <= 0.02 * goal:
                return self.slope + self.side * step
            slope = self.slope + self.side * min(step, 30 * scale)
            if not (slope - low) * self.side > 0 or not (high - slope) * self.side > 0:
                slope = 0.5 * (low + high) if np.isfinite(high) else low + self.side * scale
            self._move(slope)
            if self.root < goal:
                low = slope
            else:
                high = slope
        return self.slope if np.isfinite(high) else self.side * np.inf       # the rows do not bound the slope on this side

    def _move(self, slope: float) -> None:
        value, self.state, by_shift = self.brackets.climb(self.flat, self.state, shift=slope * self.dx)
        self.slope, self.root = slope, float(np.sqrt(max(0.0, 2 * (self.top - value))))
        rise = -self.side * float(by_shift @ self.dx) / self.root if self.root else 0.0
        if rise > 0:
            self.rise = rise
