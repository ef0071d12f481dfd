"""Prediction: a theory's curve eta(gamma, T, rho) for one edge, with its exponents and where they hold.

A model's theory subclasses `Prediction`, as `toymodels.theory` does with sympy. Judging and plotting use only what is declared
here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from typing import Any

import numpy as np

from validation.arguments import choose

REGIMES = ("lazy", "rich")   # gamma << 1 and gamma >> 1
STEPS, RHO = 1000, 0.01      # T and rho where edges do not give them


class Prediction(ABC):
    """One predicted edge: ``eta = prediction(gamma, steps, rho)``, with its exponents and where they hold.

    Attributes
    ----------
    name : the edge, as in `validation.locate`: "eta_min", "eta_crit", "eta_settle", "eta_max", "eta_div".
    label : a short text for legends.
    source : the equation or page it comes from.
    holds : (least T, largest rho) between which the terms that the curve neglects (finite T, finite rho) are below a few per cent.
    bound : whether the curve is only a lower bound of the edge.
    unjudged : gammas (low, high) between which the measured edge is another one than the predicted; it is not judged there.
    free_prefactor : whether exponents alone are claimed, and the curve's prefactor is arbitrary.
    drawn : the curve's name in a figure's legend.
    remark : a sentence, without its full stop, on what the measured edge is; empty if its name says it.
    claimed_within : the decades within which the whole curve is claimed to hold; None: it is exact, and its judge's tolerance counts.
    """

    name: str = ""
    label: str = ""
    source: str = ""
    holds: tuple[int, float] = (1, 1.0)
    bound: bool = False
    unjudged: tuple[float, float] | None = None
    free_prefactor: bool = False
    drawn: str = "predicted"
    remark: str = ""
    claimed_within: float | None = None

    @abstractmethod
    def __call__(self, gamma: Any, steps: int = STEPS, rho: float = RHO) -> np.ndarray:
        """Return the predicted eta at each gamma, NaN where nothing is predicted (shape of `gamma`)."""

    def log10(self, gamma: Any, steps: int | None = None, rho: float | None = None) -> np.ndarray:
        """Return log10 of the predicted eta, NaN where nothing is predicted; None stands for the default T and rho."""
        eta = np.asarray(self(gamma, STEPS if steps is None else steps, RHO if rho is None else rho), dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(np.isfinite(eta) & (eta > 0), np.log10(eta), np.nan)

    @abstractmethod
    def exponent(self, regime: str) -> Any:
        """Return the limit of the local exponent in the regime "lazy" (gamma -> 0) or "rich" (gamma -> infinity)."""

    def fraction(self, regime: str) -> Fraction:
        """Return `exponent` as a fraction."""
        return Fraction(str(self.exponent(regime)))

    def family(self, regime: str) -> tuple[int, int] | None:
        """Return k and L if the exponent is k/L by the depth L, so that its rivals are k/(L - 1), k/(L + 1), k/2L and 2k/L; else None."""
        choose("regime", regime, REGIMES)
        return None

    def holds_by_construction(self, regime: str) -> bool:
        """Return whether runs depend on eta/gamma^exponent alone in this regime, so that no measurement of the edge can contradict it."""
        choose("regime", regime, REGIMES)
        return False

    def closing_point(self, steps: int = STEPS, rho: float = RHO) -> float:
        """Return the gamma of the closing point, where eta_min meets eta_max; infinity if they do not meet, or if that is unknown."""
        return np.inf

    def local_exponent(self, gamma: Any, steps: int = STEPS, rho: float = RHO) -> np.ndarray:
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

    def explain_doubt(self, regime: str) -> str:
        """Return why no verdict is given in this regime, although an exponent is predicted; empty where one is given."""
        choose("regime", regime, REGIMES)
        return ""

    def window(self, regime: str, steps: int = STEPS, rho: float = RHO,
               tolerance: float = 0.02) -> tuple[float, float] | None:
        """Return the gammas (low, high) where the local exponent is within `tolerance` of its limit.

        An open end is 0 or infinity; where the prediction ends before, as beyond a closing point, so does the window. None where there is
        no such stretch (a logarithm has none).
        """
        choose("regime", regime, REGIMES)
        limit = float(self.fraction(regime))
        grid = np.logspace(-20, 20, 4001)
        grid = grid if regime == "lazy" else grid[::-1]
        departure = np.abs(self.local_exponent(grid, steps, rho) - limit)
        # the stretch from the regime's end of the axis, or of the prediction
        first = int(np.argmax(np.isfinite(departure)))
        good = departure[first:] <= tolerance
        if not good[0]:
            return None
        edge = float(grid[first + (good.size if good.all() else int(np.argmin(good))) - 1])
        if regime == "lazy":
            return float(grid[first]) if first else 0.0, edge
        return edge, float(grid[first]) if first else np.inf


def find_family(exponent: Fraction, depth: int | None) -> tuple[int, int] | None:
    """Return k and L if an exponent is k/L for this depth with k = 1 or 2, else None."""
    k = exponent * depth if depth else 0
    return (int(k), depth) if depth and k in (1, 2) else None
