"""Decide which gammas may have the least loss, from losses that are paired over seeds.

The best gamma is estimated with the runs that decide about it, so the interval of its loss alone would be too good. Here each gamma is
compared with every other one, by paired differences over seeds, and Bonferroni's correction pays for the number of comparisons: Hsu's
multiple comparisons with the best (Ann. Statist. 12, 1136, 1984), for scatter of any correlation along gamma. A bootstrap of the least
point of a smooth curve is narrower, and misses the best gamma too often (docs/tables/best_gamma_coverage.md).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

from validation.arguments import Misuse

LEVEL = 0.95


def bound_regrets(losses: ArrayLike, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Return bounds below and above the regret of each gamma, each (gamma,); each bound alone holds with probability `level` or more.

    The regret is a gamma's mean loss less that of the best gamma.

    Parameters
    ----------
    losses : (seed, gamma), finite; logarithms of losses, so that regrets are ratios.
    level : of each bound.

    Raises
    ------
    Misuse : fewer than two seeds or gammas, or a loss that is not finite.
    """
    x = np.asarray(losses, dtype=np.float64)
    if x.ndim != 2 or min(x.shape) < 2 or not np.isfinite(x).all():
        raise Misuse(f"losses must be finite numbers of two seeds and two gammas or more, (seed, gamma), not of shape {x.shape}"
                     + (f" with {int((~np.isfinite(x)).sum())} that are not finite" if x.size else ""))
    seeds, gammas = x.shape
    difference = x[:, :, None] - x[:, None, :]                        # (seed, gamma, other)
    mean = difference.mean(0)
    half = student.ppf(1 - (1 - level) / (gammas - 1), seeds - 1) * difference.std(0, ddof=1) / math.sqrt(seeds)
    other = ~np.eye(gammas, dtype=bool)
    lower = np.where(other, mean - half, -np.inf).max(1)
    upper = np.where(other, mean + half, -np.inf).max(1)
    return np.maximum(lower, 0), np.maximum(upper, 0)


def find_best(losses: ArrayLike, tolerance: float, level: float = LEVEL) -> np.ndarray:
    """Return which gammas may be within `tolerance` of the best, bool (gamma,); the best is among them with probability `level` or more."""
    return bound_regrets(losses, level)[0] <= tolerance
