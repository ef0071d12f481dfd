"""A Gaussian process of the loss over richness and rate, with short and full runs as two fidelities, and where it expects improvement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.stats import norm

# Of greatest likelihood over points of twenty planes (tests/benchmarks/tuning_prior.py); excesses are saturated ones of log loss.
COMMON = (0.33, 1.25, 0.62)    # of what short and full runs share: standard deviation, decades of gamma and of eta
APART = (0.21, 1.29, 0.58)     # of the difference between full and short runs, likewise
NOISE = 0.036                  # standard deviation of one run
VALLEY = {2: -0.83, 1: -1.16}  # decades of eta over the ridge of the least loss, for gradients as they are and for those without scale
WIDTH = 0.59                   # decades of eta, of the valley
FAR = (1.15, 1.14)             # excess far from the valley, of short and of full runs
DEPTH = (0.57, 0.47)           # by which it is less in the valley, likewise
SATURATION = 1.5               # of log loss over the least, at which excesses saturate, so that a cliff does not hide the valley beside it
LENGTHS = (1.0, 0.7, 0.5)      # factors of all lengths, of which the most likely is taken: some landscapes are rougher than most
DEVIATIONS = (1.0, 1.5)        # factors of all standard deviations but the noise, likewise
JITTER = 1e-9


@dataclass(frozen=True)
class Observation:
    """A loss at a point of the plane.

    Attributes
    ----------
    at : (x, y), decades of gamma from the crossing, and of eta over the ridge.
    full : whether it is that of a full run, or that after the steps of a short one.
    loss : infinite for a diverged run.
    """

    at: tuple[float, float]
    full: bool
    loss: float


class Surrogate:
    """A Gaussian process of the saturated excess of log loss, of short runs and, with a further term, of full runs.

    The kernels are Matern's with nu = 5/2; the sum of a common term and a difference is that of Kennedy and O'Hagan (Biometrika 87, 2000).
    The mean is a valley along the ridge.

    Parameters
    ----------
    observations : at least one.
    valley : decades of eta over the ridge, at which the mean is least.
    length, deviation : factors of the kernels' lengths and standard deviations.

    Attributes
    ----------
    log_likelihood : of the observations, up to a constant.
    """

    def __init__(self, observations: Sequence[Observation], valley: float, length: float = 1.0, deviation: float = 1.0) -> None:
        self.valley = valley
        self.common, self.apart = ((s * deviation, x * length, y * length) for s, x, y in (COMMON, APART))
        self.points = np.array([o.at for o in observations])      # (n, 2)
        self.full = np.array([o.full for o in observations])
        losses = np.array([o.loss for o in observations])
        self.values = np.full(len(losses), SATURATION)
        for fidelity in (False, True):
            part = self.full == fidelity
            if np.isfinite(losses[part]).any():
                self.values[part] = saturate(losses[part])
        covariance = self._cover(self.points, self.full) + (NOISE**2 + JITTER) * np.eye(len(losses))
        self._factor = cho_factor(covariance)
        rest = self.values - expect_valley(self.points, self.full, valley)
        self._weights = cho_solve(self._factor, rest)
        self.log_likelihood = float(-0.5 * rest @ self._weights - np.sum(np.log(np.diag(self._factor[0]))))

    def _cover(self, points: np.ndarray, full: np.ndarray) -> np.ndarray:
        """Return the covariance between points and the observations, (points, n)."""
        return matern(points, self.points, *self.common) + np.outer(full, self.full) * matern(points, self.points, *self.apart)

    def predict(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of full runs' saturated excess at points (m, 2)."""
        cover = self._cover(points, np.ones(len(points)))
        mean = expect_valley(points, np.ones(len(points), dtype=bool), self.valley) + cover @ self._weights
        variance = self.common[0]**2 + self.apart[0]**2 - np.einsum("ij,ji->i", cover, cho_solve(self._factor, cover.T))
        return mean, np.sqrt(np.maximum(variance, 1e-10))

    def expect_improvement(self, points: np.ndarray) -> np.ndarray:
        """Return by how much the best full run is expected to improve at points (m, 2), in saturated log loss."""
        mean, deviation = self.predict(points)
        least = self.values[self.full].min() if self.full.any() else 0.0
        z = (least - mean) / deviation
        improvement: np.ndarray = deviation * (z * norm.cdf(z) + norm.pdf(z))
        return improvement


def fit_surrogate(observations: Sequence[Observation], valley: float) -> Surrogate:
    """Return the surrogate whose lengths and deviations make the observations most likely, of those in `LENGTHS` and `DEVIATIONS`."""
    candidates = [Surrogate(observations, valley, length, deviation) for length in LENGTHS for deviation in DEVIATIONS]
    return max(candidates, key=lambda surrogate: surrogate.log_likelihood)


def saturate(losses: np.ndarray) -> np.ndarray:
    """Return the excesses of log losses over the least, which approach `SATURATION`; some loss must be finite and above zero."""
    logs = np.log(np.maximum(losses, np.finfo(float).tiny))
    saturated: np.ndarray = SATURATION * -np.expm1(-(logs - logs.min()) / SATURATION)
    return saturated


def expect_valley(points: np.ndarray, full: np.ndarray, valley: float) -> np.ndarray:
    """Return the excess (m,) that is expected at points (m, 2) of full or short runs before anything is observed."""
    far, depth = np.where(full, FAR[1], FAR[0]), np.where(full, DEPTH[1], DEPTH[0])
    mean: np.ndarray = far - depth * np.exp(-((points[:, 1] - valley) / WIDTH) ** 2 / 2)
    return mean


def matern(points: np.ndarray, others: np.ndarray, deviation: float, along: float, across: float) -> np.ndarray:
    """Return Matern's covariance with nu = 5/2 between points (m, 2) and others (n, 2), with a length for each coordinate."""
    apart = (points[:, None, :] - others[None, :, :]) / np.array([along, across])
    r = np.sqrt(5 * np.sum(apart**2, axis=-1))
    covariance: np.ndarray = deviation**2 * (1 + r + r**2 / 3) * np.exp(-r)
    return covariance
