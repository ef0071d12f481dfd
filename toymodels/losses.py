"""The losses of the toy models, least at f = 1: values, slopes, curvatures and excesses without cancellation, and sympy expressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from validation.arguments import Misuse, refuse_subclass

if TYPE_CHECKING:
    import sympy

    from toymodels.own.loss import Loss as OwnLoss

P1 = 1 / (1 + np.exp(-1.0))   # sigmoid(1), the probability of class 1
P0 = 1 / (1 + np.exp(1.0))    # 1 - P1, computed without cancellation


@dataclass(frozen=True)
class MSE:
    """Half the squared error, ``l(f) = (f - 1)**2/2`` (eq. 4)."""

    name: str = "mse"

    def expression(self, f: sympy.Expr) -> sympy.Expr:
        """Return ``l(f)`` in sympy."""
        return (f - 1) ** 2 / 2

    def value(self, f: np.ndarray) -> np.ndarray:
        """Return ``l(f)``."""
        return 0.5 * (f - 1.0) ** 2

    def slope(self, f: np.ndarray) -> np.ndarray:
        """Return ``l'(f)``."""
        return f - 1.0

    def curvature(self, f: np.ndarray) -> np.ndarray:
        """Return ``l''(f)``."""
        return np.ones_like(f)

    def excess(self, f: np.ndarray) -> np.ndarray:
        """Return ``(l(f) - l(1))/(l(0) - l(1))``."""
        return (f - 1.0) ** 2


@dataclass(frozen=True)
class CrossEntropy:
    """Two-class cross-entropy with soft labels, ``l(f) = p1 log(1 + e^-f) + p0 log(1 + e^f)``, ``p1 = sigmoid(1)``.

    Equation 9 with its weights exchanged (see the errata), so that the minimum is at f = 1.
    """

    name: str = "cross_entropy"

    def expression(self, f: sympy.Expr) -> sympy.Expr:
        """Return ``l(f)`` in sympy."""
        import sympy

        p0 = 1 / (1 + sympy.E)
        return (1 - p0) * sympy.log(1 + sympy.exp(-f)) + p0 * sympy.log(1 + sympy.exp(f))

    def value(self, f: np.ndarray) -> np.ndarray:
        """Return ``l(f)``, without overflow."""
        return np.logaddexp(0.0, f) - P1 * f

    def slope(self, f: np.ndarray) -> np.ndarray:
        """Return ``l'(f) = sigmoid(f) - p1``, without cancellation at f = 1 and without overflow."""
        d = np.clip(f - 1.0, -800.0, 700.0)
        # sigmoid(1 + d) - p1 = p1 p0 (e^d - 1)/(p0 + p1 e^d)
        e = np.expm1(d)
        return np.where(np.isnan(f), np.nan, P1 * P0 * e / (1.0 + P1 * e))

    def curvature(self, f: np.ndarray) -> np.ndarray:
        """Return ``l''(f) = sigmoid(f) sigmoid(-f)``."""
        e = np.exp(-np.abs(f))
        return e / (1.0 + e) ** 2

    def excess(self, f: np.ndarray) -> np.ndarray:
        """Return ``(l(f) - l(1))/(l(0) - l(1))``, to full relative accuracy at f = 1 and for any f."""
        f = np.asarray(f, dtype=np.float64)
        return _excess_cross_entropy(f - 1.0) / _excess_cross_entropy(np.array(-1.0))


def _excess_cross_entropy(d: np.ndarray) -> np.ndarray:
    """Return ``l(1 + d) - l(1)``: the centred cumulant function ``log(p0 + p1 e^d) - p1 d`` of a Bernoulli(p1) variable."""
    a = np.abs(d)
    small = a < 0.03
    near = np.where(small, d, 0.0)
    series = near**2 * np.polynomial.polynomial.polyval(near, CUMULANTS)
    # the exponential that decays, so that nothing overflows: log(p0 + p1 e^d) = d+ + log(p1 + p0 e^-d) or log(p0 + p1 e^d)
    right = P0 * d + np.log1p(P0 * np.expm1(-np.where(d > 0, d, 0.0)))
    left = -P1 * d + np.log1p(P1 * np.expm1(np.where(d < 0, d, 0.0)))
    return np.where(small, series, np.where(d > 0, right, left))


def _cumulants() -> tuple[float, ...]:
    """Return kappa_n/n!, n = 2..9, of a Bernoulli(p1) variable: kappa_(n+1) = p (1-p) d kappa_n/dp."""
    from numpy.polynomial import Polynomial

    p = Polynomial([0.0, 1.0])
    variance = p * (1 - p)
    kappa, out, factorial = variance, [], 2.0
    for n in range(2, 10):
        out.append(float(kappa(P1)) / factorial)
        kappa, factorial = variance * kappa.deriv(), factorial * (n + 1)
    return tuple(out)


CUMULANTS = _cumulants()

Loss = MSE | CrossEntropy
LOSSES: dict[str, Loss] = {"mse": MSE(), "cross_entropy": CrossEntropy()}


def as_loss(loss: str | Loss | OwnLoss) -> Loss | OwnLoss:
    """Return the loss of that name, or `loss` itself if it is one, or one of one's own; otherwise raise `Misuse`."""
    from toymodels.own.loss import Loss as OwnLoss

    if isinstance(loss, MSE | CrossEntropy | OwnLoss):
        refuse_subclass("loss", loss, (MSE, CrossEntropy, OwnLoss), "write one's own as toymodels.Loss(expression, f, y)")
        return loss
    if isinstance(loss, str) and loss in LOSSES:
        return LOSSES[loss]
    raise Misuse(f"loss must be one of {', '.join(map(repr, LOSSES))}, not {loss!r}; write one's own as "
                 "toymodels.Loss(expression, f, y)")
