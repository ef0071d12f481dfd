"""Derive SignSGD's edges in sympy: the steps to the minimum, and the overshoot that keeps the excess below rho (Appendix F).

The size of the gradient does not matter, so the loss enters only through f1 and f2, the outputs below and above 1 at which its excess is
rho.
"""

from __future__ import annotations

from typing import Any

from toymodels.models import Model, OneParameter
from toymodels.theory.asymptotics import Branch, explicit_branch
from toymodels.theory.landscape import derive_minimum
from toymodels.theory.symbols import letters


def derive_weight(depth: Any, output: Any) -> Any:
    """Return ``w = (1 + gamma f)**(1/L)`` at the output f, as sympy: the minimum's formula with gamma f for gamma."""
    s = letters()
    return derive_minimum(depth).subs(s.gamma, s.gamma * output)


def derive_eta_min(model: Model, total: Any = None, first: Any = 1) -> Any:
    """Return eta_min as sympy in gamma, T and f1, or with the sum of a schedule's factors for T, the first of which is `first`.

    One parameter: ``w = 1 + T eta``, so ``eta = ((1 + gamma f1)**(1/L) - 1)/T``. Two: the first step moves u2 alone (u1's
    gradient is 0 at u2 = 0), and then both move, ``f = 2 T eta (1 + (T - 1) eta)/gamma``.
    """
    import sympy

    s = letters()
    total = s.T if total is None else total
    if isinstance(model, OneParameter):
        return (derive_weight(model.depth, s.f1) - 1) / total
    after = sympy.Symbol("n", positive=True)      # the factors after the first
    u1, u2 = 1 + after * s.eta, s.T * s.eta
    roots = sympy.solve(sympy.expand(model.output(u1, u2, s.gamma) - s.f1), s.eta)
    (root,) = [r for r in roots if r.subs({s.T: 2, after: 1, s.gamma: 1, s.f1: 1}) > 0]
    # the same with `after` once: the square root of 1 + ...
    under = 1 + sympy.factor(sympy.simplify((2 * after * root + 1) ** 2 - 1))
    return ((sympy.sqrt(under) - 1) / (2 * after)).subs(s.T, total).subs(after, total - first)


def derive_eta_max(model: Model, symmetric: bool) -> tuple[Any, list[Branch]]:
    """Return eta_max, below which the excess of every run ends below rho, as sympy in gamma, d1 and d2, and its branches.

    At the end the run steps to and fro across the minimum. Its excess stays below rho if that of one step from the minimum does, on
    either side: ``eta = min(w(1 + d2) - w*, w* - w(1 - d1))``. Where the loss is symmetric about f = 1 the first is the
    smaller, for f is convex in w: MSE has no other branch.

    Two parameters: u1 - u2 is 1 - eta after the first step and stays so, u1 + u2 moves by 2 eta, so with
    ``P(f) = sqrt(2 gamma f + (1 - eta)**2)`` the condition is ``P(f2) - P(1) = 2 eta``: cubic in eta, quadratic in gamma; so this
    curve's branches have eta for the parameter.

    Parameters
    ----------
    model : OneParameter(depth) or TwoParameter().
    symmetric : whether d1 = d2.
    """
    import sympy

    s = letters()
    if isinstance(model, OneParameter):
        star = derive_minimum(model.depth)
        sides = [derive_weight(model.depth, 1 + s.d2) - star, star - derive_weight(model.depth, 1 - s.d1)]
        sides = sides[:1] if symmetric else sides
        return sympy.Min(*sides), [explicit_branch(side) for side in sides]
    branches, roots = [], []
    for d, sign in ((s.d2, 1), (s.d1, -1))[: 1 if symmetric else 2]:
        polynomial = derive_step_condition(d, sign)
        (gamma,) = [g for g in sympy.solve(polynomial, s.gamma) if g.subs({s.eta: 0.001, d: 0.1}) > 0]
        branches.append(Branch(s.eta, sympy.simplify(gamma), s.eta, sympy.Integer(0), sympy.oo))
        # of the three real roots of the cubic one is negative; eta_max is the middle one
        roots.append(_solve_middle_root(polynomial, s.eta))
    return sympy.Min(*roots), branches


def derive_step_condition(d: Any, sign: int) -> Any:
    """Return the polynomial that vanishes where one step of 2 eta of u1 + u2 leads from f = 1 to ``f = 1 + sign d``.

    ``(gamma d)**2 = 4 eta**2 (1 + gamma (2 + sign d) - 2 eta)``.
    """
    import sympy

    s = letters()
    p = sympy.Symbol("P", positive=True)
    # (P + 2 sign eta)^2 = P^2 + 2 gamma sign d is linear in P; and P^2 = 2 gamma + (1 - eta)^2
    (at_minimum,) = sympy.solve(sympy.expand((p + 2 * sign * s.eta) ** 2 - p**2 - 2 * s.gamma * sign * d), p)
    return sympy.expand((at_minimum**2 - 2 * s.gamma - (1 - s.eta) ** 2) * 4 * s.eta**2)


def derive_step_equation() -> Any:
    """Return the condition of `derive_step_condition` as an equation for eta_max, with d for d2, or for -d1."""
    import sympy

    s, d, eta_max = letters(), sympy.Symbol("d", real=True), sympy.Symbol("eta_max", positive=True)
    left = (s.gamma * d) ** 2
    return sympy.Eq(left, sympy.factor(left - derive_step_condition(d, 1)).subs(s.eta, eta_max), evaluate=False)


def _solve_middle_root(cubic: Any, x: Any) -> Any:
    """Return the middle one of three real roots, by Viete's cosines."""
    import sympy

    a, b, c, d = sympy.Poly(cubic, x).all_coeffs()
    shift = -b / (3 * a)
    p, q = (3 * a * c - b**2) / (3 * a**2), (2 * b**3 - 9 * a * b * c + 27 * a**2 * d) / (27 * a**3)
    angle = sympy.acos(3 * q / (2 * p) * sympy.sqrt(-3 / p)) / 3
    return shift + 2 * sympy.sqrt(-p / 3) * sympy.cos(angle - 2 * sympy.pi / 3)
