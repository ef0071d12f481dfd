"""Derive what the theory needs of a loss: l'(f), l''(1), the slopes of its tails, and the outputs at which its excess is rho.

All of it follows from ``loss.expression(f)``, so a loss of one's own has a ``name`` and an ``expression`` whose minimum is at f = 1
(see `PseudoHuber`). For the losses of the package, their own numerics are used.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from toymodels.losses import MSE, CrossEntropy, as_loss
from toymodels.theory.symbols import letters
from validation.arguments import Misuse, between

if TYPE_CHECKING:
    import sympy


@dataclass(frozen=True)
class PseudoHuber:
    """Quadratic near f = 1 and straight beyond `width`: ``l = width**2 (sqrt(1 + ((f - 1)/width)**2) - 1)``.

    Not a loss of the paper: an example of a loss that is given by its formula alone.

    Attributes
    ----------
    width : where the parabola turns into its tangents, in units of f; > 0.
    """

    width: float = 1.0
    name: str = "pseudo_huber"

    def __post_init__(self) -> None:
        between("width", self.width, 0, float("inf"))

    def expression(self, f: Any) -> Any:
        """Return ``l(f)`` in sympy."""
        import sympy

        width = sympy.nsimplify(self.width)
        return width**2 * (sympy.sqrt(1 + ((f - 1) / width) ** 2) - 1)


class TheoryLoss(Hashable, Protocol):
    """A loss for the theory: hashable, with a name, and a formula whose quadratic minimum is at f = 1."""

    @property
    def name(self) -> str:
        """The name, as in descriptions and tables."""

    def expression(self, f: sympy.Expr) -> sympy.Expr:
        """Return ``l(f)`` in sympy."""


def as_theory_loss(loss: str | TheoryLoss) -> Any:
    """Return the loss of that name, or anything hashable with a ``name`` and an ``expression``; otherwise raise `Misuse`."""
    if callable(getattr(loss, "expression", None)) and isinstance(getattr(loss, "name", None), str):
        return loss
    return as_loss(loss)  # type: ignore[arg-type]


def as_formulas(model: Any, loss: Any) -> tuple[Any, Any]:
    """Return a model and a loss, at least one of which is one's own, as one's own."""
    from toymodels import models
    from toymodels.own import loss as own

    return models.as_formula(models.as_model(model)), own.as_formula(as_loss(loss))


@cache
def derive_curvature_at_minimum(loss: Any) -> Any:
    """Return ``h_l = l''(f = 1)`` as sympy: 1 for MSE, ``p0 p1`` for cross-entropy.

    Raises
    ------
    Misuse : where f = 1 is not a quadratic minimum; the edges of stability then do not exist.
    """
    import sympy

    f = letters().f
    slope = sympy.simplify(sympy.diff(loss.expression(f), f).subs(f, 1))
    curvature = sympy.simplify(sympy.diff(loss.expression(f), f, 2).subs(f, 1))
    if slope != 0 or curvature.is_positive is not True:
        raise Misuse(f"loss {loss.name!r} must have a quadratic minimum at f = 1; there l' = {slope} and l'' = {curvature}")
    return curvature


def derive_slope(loss: Any, f: Any) -> Any:
    """Return ``l'(f)`` as sympy, at the expression `f`."""
    import sympy

    x = sympy.Dummy("f", real=True)
    return sympy.diff(loss.expression(x), x).subs(x, f)


@cache
def residual_at_start(loss: Any) -> Any:
    """Return ``r0 = -l'(0)`` as sympy: 1 for MSE, ``p1 - 1/2`` for cross-entropy."""
    import sympy

    return sympy.simplify(-derive_slope(loss, sympy.Integer(0)))


@cache
def derive_tail_slopes(loss: Any) -> tuple[Any, Any]:
    """Return the limits ``(-l'(-oo), l'(oo))`` as sympy: (oo, oo) for MSE, (p1, p0) for cross-entropy."""
    import sympy

    f = letters().f
    derivative = sympy.diff(loss.expression(f), f)
    down, up = (sympy.simplify(sympy.limit(sympy.simplify(derivative), f, end)) for end in (-sympy.oo, sympy.oo))
    return -down, up


@cache
def numeric_curvature(loss: Any) -> float:
    """Return ``h_l`` as a number, without sympy for the losses of the package."""
    if isinstance(loss, MSE | CrossEntropy):
        return float(loss.curvature(np.ones(())))
    return float(derive_curvature_at_minimum(loss))


@cache
def numeric_tail(loss: Any) -> float:
    """Return ``l'(oo)`` as a number."""
    if isinstance(loss, CrossEntropy):
        from toymodels.losses import P0

        return float(P0)
    return float(derive_tail_slopes(loss)[1])


@cache
def numeric_residual(loss: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function ``Delta -> r = -l'(1 - Delta)``, as numpy, without cancellation for the losses of the package."""
    if isinstance(loss, MSE):
        return lambda delta: delta
    if isinstance(loss, CrossEntropy):
        return _residual_cross_entropy
    import sympy

    delta = letters().Delta
    return sympy.lambdify(delta, sympy.simplify(-derive_slope(loss, 1 - delta)), "numpy")


def _residual_cross_entropy(delta: np.ndarray) -> np.ndarray:
    """Return ``p1 - sigmoid(1 - Delta) = p1 p0 (1 - e^-Delta)/(p0 + p1 e^-Delta)``, for |Delta| up to some hundred."""
    from toymodels.losses import P0, P1

    e = np.expm1(-delta)
    return -P1 * P0 * e / (1.0 + P1 * e)


@cache
def solve_excess_root(loss: Any, rho: float, side: Literal["below", "above"] = "below") -> float:
    """Return ``Delta = 1 - f`` where the excess is `rho`: in (0, 1) for "below" (f1 = 1 - Delta), negative for "above" (f2).

    MSE: sqrt(rho) and -sqrt(rho). The relative error is 1e-15.
    """
    if isinstance(loss, MSE):
        return float(np.sqrt(rho)) if side == "below" else -float(np.sqrt(rho))
    from scipy.optimize import brentq

    excess, sign = _excess(loss), 1.0 if side == "below" else -1.0

    def gap(logarithm: float) -> float:
        return float(np.log(excess(sign * np.exp(logarithm)))) - np.log(rho)

    top = 0.0
    while side == "above" and gap(top) < 0:
        top += 1.0
        if top > 300:
            raise Misuse(f"loss {loss.name!r} must rise above its start beyond f = 1")
    return sign * float(np.exp(brentq(gap, 0.5 * np.log(rho) - 20.0, top, xtol=1e-15, rtol=1e-15)))


def _excess(loss: Any) -> Callable[[float], float]:
    """Return the function ``Delta -> (l(1 - Delta) - l(1))/(l(0) - l(1))``, accurate as Delta -> 0."""
    if isinstance(loss, CrossEntropy):
        # CrossEntropy.excess subtracts 1 from f; this is its inner function of f - 1, exact at small Delta
        from toymodels.losses import _excess_cross_entropy

        start = float(_excess_cross_entropy(np.full((), -1.0)))
        return lambda delta: float(_excess_cross_entropy(np.full((), -delta))) / start
    import mpmath
    import sympy

    f = letters().f
    function = sympy.lambdify(f, loss.expression(f), "mpmath")
    # fifty digits in place of a form without cancellation: it is evaluated for one root only

    def excess(delta: float) -> float:
        with mpmath.workdps(50):
            least = function(mpmath.mpf(1))
            return float((function(1 - mpmath.mpf(delta)) - least) / (function(mpmath.mpf(0)) - least))

    return excess


@cache
def solve_target_outputs(loss: Any) -> tuple[Any, Any]:
    """Return ``(f1, f2)``, the outputs below and above 1 at which the excess is rho, as sympy expressions in rho.

    ``1 -+ sqrt(rho)`` for MSE; functions without a closed form otherwise.
    """
    import sympy

    from toymodels.theory.symbols import make_numeric_function

    rho = letters().rho
    if isinstance(loss, MSE):
        return 1 - sympy.sqrt(rho), 1 + sympy.sqrt(rho)
    below, above = _build_target_functions(loss)
    return make_numeric_function("f1", "f_1", below)(rho), make_numeric_function("f2", "f_2", above)(rho)


@cache
def _build_target_functions(loss: Any) -> tuple[Callable[[float], float], Callable[[float], float]]:
    """Return ``rho -> f1`` and ``rho -> f2`` as numbers."""
    return (lambda rho: 1.0 - solve_excess_root(loss, rho, "below")), (lambda rho: 1.0 - solve_excess_root(loss, rho, "above"))
