"""Derive which runs of two parameters with squared error diverge: an invariant ellipse, and a quantity that never falls.

With p, q = u1 +- u2, a = eta/gamma, Delta = 1 - f and x = a Delta, a step is ``p <- p (1 + x)``, ``q <- q (1 - x)``. In
``P = eta p^2/(2 gamma^2)`` and ``Q = eta q^2/(2 gamma^2)`` the invariant is ``I = P + Q - 2 + a^2 Delta/2``, and
``I' = I (1 - a x + x^2)``. For a < 2 the factor is positive, and it is the mean of the factors of P and Q with the weights
(2 - a)/4 and (2 + a)/4. So ``W = |I| P^(-(2 - a)/4) Q^(-(2 + a)/4)`` never falls, and stays the same only where Delta = 0.

Outside, I > 0, a run that stayed bounded would come near points where W cannot grow: minima, or P Q = 0. But the minima there have
eta K = 2 (P + Q) > 4 and repel it, and the only bounded orbits with P Q = 0 are the fixed points (2 + a, 0) and (0, 2 - a), near
which Q or P grows 9 times a step. So it diverges, unless a step lands on a minimum exactly. Inside, I < 0, the same argument leaves
the minima with eta K <= 2, which exist for a <= 1. For a >= 2 the runs diverge in every simulation; that is not proven.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from toymodels.losses import MSE
from toymodels.models import TwoParameter
from toymodels.theory.losses import derive_slope
from toymodels.theory.symbols import letters


def _sgd_step(p: Any, q: Any) -> tuple[Any, Any]:
    """Return p and q after a step of SGD, by the model's own gradient."""
    s, model = letters(), TwoParameter()
    u1, u2 = (p + q) / 2, (p - q) / 2
    slope = derive_slope(MSE(), model.output(u1, u2, s.gamma))
    g1, g2 = model.gradient(u1, u2, s.gamma)
    return p - s.eta * slope * (g1 + g2), q - s.eta * slope * (g1 - g2)


def residual_in_letters() -> Any:
    """Return ``Delta = 1 - f`` in p, q and gamma."""
    import sympy

    s = letters()
    return sympy.expand(1 - TwoParameter().output((s.p + s.q) / 2, (s.p - s.q) / 2, s.gamma))


def step_in_letters() -> tuple[Any, Any]:
    """Return ``p (1 + a Delta)`` and ``q (1 - a Delta)``, p and q after a step.

    Raises
    ------
    ArithmeticError : they are not the model's.
    """
    import sympy

    s = letters()
    step = s.p * (1 + s.a * s.Delta), s.q * (1 - s.a * s.Delta)
    for mine, models in zip(step, _sgd_step(s.p, s.q), strict=True):
        if sympy.expand(_in_p_and_q(mine) - models) != 0:
            raise ArithmeticError("the step in p and q is not that of the model")
    return step


def _in_p_and_q(expression: Any) -> Any:
    """Return an expression with Delta and a in p, q, eta and gamma."""
    s = letters()
    return expression.subs({s.Delta: residual_in_letters(), s.a: s.eta / s.gamma})


def invariant_in_letters() -> Any:
    """Return ``I = eta (p^2 + q^2)/(2 gamma^2) - 2 + a^2 Delta/2``."""
    s = letters()
    return s.eta * (s.p**2 + s.q**2) / (2 * s.gamma**2) - 2 + s.a**2 * s.Delta / 2


def factor_in_letters() -> Any:
    """Return ``1 - a^2 Delta + a^2 Delta^2``, by which a step multiplies the invariant."""
    s = letters()
    return 1 - s.a**2 * s.Delta + s.a**2 * s.Delta**2


def mean_in_letters() -> Any:
    """Return the factor as the mean of the factors of P and Q, with the weights (2 - a)/4 and (2 + a)/4."""
    s = letters()
    return (2 - s.a) / 4 * (1 + s.a * s.Delta) ** 2 + (2 + s.a) / 4 * (1 - s.a * s.Delta) ** 2


def ellipse_in_letters() -> Any:
    """Return the invariant as a quadratic form of p and q, without Delta."""
    s = letters()
    return s.eta * ((2 - s.a) * s.p**2 + (2 + s.a) * s.q**2) / (4 * s.gamma**2) + s.a**2 / 2 - 2


@cache
def derive_invariant() -> tuple[Any, Any, Any]:
    """Return ``(I, I', I' - I (1 - a^2 Delta + a^2 Delta^2))`` in p, q, eta and gamma; sympy reduces the third to zero."""
    import sympy

    s = letters()
    before = _in_p_and_q(invariant_in_letters())
    p, q = _sgd_step(s.p, s.q)
    after = before.subs({s.p: p, s.q: q}, simultaneous=True)
    return sympy.factor(before), after, sympy.expand(after - before * _in_p_and_q(factor_in_letters()))


@cache
def check_invariant() -> None:
    """Check the identities of this module with sympy.

    Raises
    ------
    ArithmeticError : one of them fails.
    """
    import sympy

    s, (before, _, identity) = letters(), derive_invariant()
    differences = {"the invariant's factor": identity, "the mean": sympy.expand(factor_in_letters() - mean_in_letters()),
                   "the ellipse": sympy.expand(before - ellipse_in_letters().subs(s.a, s.eta / s.gamma))}
    for name, difference in differences.items():
        if difference != 0:
            raise ArithmeticError(f"the identity of {name} fails")


@cache
def derive_invariant_at_start() -> Any:
    """Return the invariant at the start, p = q = 1, in eta and gamma."""
    import sympy

    s, (u1, u2) = letters(), TwoParameter.start
    check_invariant()
    return sympy.expand(derive_invariant()[0].subs({s.p: u1 + u2, s.q: u1 - u2}))


@cache
def derive_divergence_two() -> Any:
    """Return ``eta_div = sqrt(1 + 4 gamma^2) - 1``: the eta at which the invariant is zero at the start."""
    import sympy

    s = letters()
    roots = sympy.solve(derive_invariant_at_start() * s.gamma**2, s.eta)
    (root,) = [r for r in roots if r.subs(s.gamma, 1) > 0]
    return root
