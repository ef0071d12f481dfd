"""Prediction: what a theory says of one edge, as a curve eta(gamma, T, rho); knows no model and no computer algebra.

A witness's theory subclasses `Prediction` (`toymodels.theory` does so with sympy); the judge and the figures need no more than
what is declared here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from typing import Any

import numpy as np

from validation.arguments import choose

REGIMES = ("lazy", "rich")   # gamma << 1 and gamma >> 1


class Prediction(ABC):
    """One predicted edge: ``eta = prediction(gamma, steps, rho)``, with its exponents and where they hold.

    Attributes
    ----------
    name : the edge, as in `validation.locate`: "eta_min", "eta_crit", "eta_settle", "eta_max", "eta_div".
    label : a short text for legends.
    source : the equation or page it comes from.
    holds : (least T, largest rho) for which what the curve leaves out, finite training and finite rho, is below a few per cent.
    bound : whether the edge is only said not to lie below the curve.
    unjudged : gammas (low, high) between which what is measured is known to be another thing; it is not judged there.
    free_prefactor : whether exponents alone are claimed, and the curve's level means nothing.
    drawn : how a figure's legend calls the curve.
    """

    name: str = ""
    label: str = ""
    source: str = ""
    holds: tuple[int, float] = (1, 1.0)
    bound: bool = False
    unjudged: tuple[float, float] | None = None
    free_prefactor: bool = False
    drawn: str = "predicted"

    @abstractmethod
    def __call__(self, gamma: Any, steps: int = 1000, rho: float = 0.01) -> np.ndarray:
        """Return the predicted eta at each gamma, NaN where nothing is predicted (shape of `gamma`)."""

    @abstractmethod
    def exponent(self, regime: str) -> Any:
        """Return the limit of the local exponent in the regime "lazy" (gamma -> 0) or "rich" (gamma -> infinity)."""

    def fraction(self, regime: str) -> Fraction:
        """Return `exponent` as a fraction."""
        return Fraction(str(self.exponent(regime)))

    def closing_point(self, steps: int = 1000, rho: float = 0.01) -> float:
        """Return the gamma at which the triangle of trainability closes; infinity where it does not, or is not known to."""
        return np.inf

    def local_exponent(self, gamma: Any, steps: int = 1000, rho: float = 0.01) -> np.ndarray:
        """Return d log eta / d log gamma at each gamma (shape of `gamma`), by a central difference of 1e-3 decades."""
        gamma = np.asarray(gamma, dtype=np.float64)
        h = 10.0**0.0005
        up, down = self(gamma * h, steps, rho), self(gamma / h, steps, rho)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log10(up / down) / 0.001

    def logarithm(self, regime: str) -> bool:
        """Return whether a logarithm of gamma multiplies the power law in this regime."""
        choose("regime", regime, REGIMES)
        return False

    def window(self, regime: str, steps: int = 1000, rho: float = 0.01,
               tolerance: float = 0.02) -> tuple[float, float] | None:
        """Return the gammas (low, high) where the local exponent is within `tolerance` of its limit.

        An open end is 0 or infinity. None where there is no such stretch (a logarithm has none).
        """
        choose("regime", regime, REGIMES)
        limit = float(self.fraction(regime))
        grid = np.logspace(-20, 20, 4001)
        good = np.abs(self.local_exponent(grid, steps, rho) - limit) <= tolerance
        if regime == "lazy":
            good = good[::-1]
        if not good[-1]:
            return None
        # the stretch that reaches the regime's end of the axis; a stretch that ends at the unit is none
        start = len(good) - int(np.argmin(good[::-1])) if not good.all() else 0
        edge = float(grid[start] if regime == "rich" else grid[::-1][start])
        return (edge, np.inf) if regime == "rich" else (0.0, edge)
