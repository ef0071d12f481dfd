"""The interval-censored Gaussian likelihood of a curve through brackets, and its maximum.

The model: ``y_i = a + b x_i + sigma z_i`` with standard normal z, of which only ``lower_i <= y_i <= upper_i`` is known.
With ``alpha = a/sigma, beta = b/sigma, tau = 1/sigma`` each bracket contributes
``log[Phi(tau u - alpha - beta x) - Phi(tau l - alpha - beta x)]``, jointly concave in the
three (Burridge, J. R. Stat. Soc. B 43, 41, 1981). Scatter far below a bracket's width cannot be seen, and sigma is held
above a fraction of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

LOG_ROOT_2PI = 0.5 * np.log(2 * np.pi)
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

    def climb(self, columns: np.ndarray, start: np.ndarray, rounds: int = 80) -> tuple[float, np.ndarray]:
        """Maximise over coefficients/sigma and tau = 1/sigma by damped Newton steps; the problem is concave.

        Parameters
        ----------
        columns : shape (p, n), the regression's.
        start : shape (p + 1,), coefficients times tau, and tau.

        Returns
        -------
        tuple of the log likelihood and the parameters (tau stays at or below `most`).
        """
        low, high = self.low, self.high
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
        return value, theta

    def _value(self, theta: np.ndarray, to_m: np.ndarray, to_w: np.ndarray, to_c: np.ndarray) -> tuple:
        m, w, c = theta @ to_m, theta @ to_w, theta @ to_c
        log_mass, e, k = bracket_mass(m, w)
        if not c.size:
            return float(log_mass.sum()), (m, w, e, k, c, c)
        tail = log_ndtr(c)
        ratio = np.exp(-0.5 * c * c - LOG_ROOT_2PI - tail)
        return float(log_mass.sum() + tail.sum()), (m, w, e, k, ratio, c)
