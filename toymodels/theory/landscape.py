"""Derive the loss landscape in sympy: minimum, Hessian and its two parts, kernel, sharpness, flattest minimum.

Every expression starts from the formulas of `toymodels.models` and `toymodels.losses`, called with symbols. The depth may be a number or
the symbol L.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

from toymodels.losses import MSE
from toymodels.models import OneParameter, TwoParameter
from toymodels.theory.losses import derive_curvature_at_minimum, derive_slope
from toymodels.theory.symbols import letters


def output_one(depth: Any, w: Any, gamma: Any) -> Any:
    """Return ``f(w)`` of `OneParameter` for any depth, also a symbol: the model's own formula with another ``depth``."""
    return OneParameter.output(SimpleNamespace(depth=depth), w, gamma)  # type: ignore[arg-type]


@cache
def derive_minimum(depth: Any) -> Any:
    """Return ``w*``, the positive solution of ``f(w) = 1``: ``(1 + gamma)**(1/L)`` (eq. 5)."""
    import sympy

    s = letters()
    # in W = w**L the equation is linear, and the positive root is then one power away
    power = sympy.Symbol("W", positive=True)
    equation = (output_one(depth, s.w, s.gamma) - 1).subs(s.w**depth, power)
    (solution,) = sympy.solve(equation, power)
    return solution ** (1 / sympy.sympify(depth))


def derive_hessian(depth: Any, loss: Any = None, w: Any = None) -> SimpleNamespace:
    """Return the second derivative of ``l(f(w))`` at `w` (the symbol w if None), split in two; without a loss, l' and l'' stay letters.

    Returns
    -------
    A namespace of sympy expressions: ``total``, ``gauss_newton = l''(f) (df/dw)**2`` and ``residual = l'(f) d2f/dw2``; the
    first is the sum of the others. At the minimum the residual part is 0 and the total is the sharpness.
    """
    import sympy

    s = letters()
    f = output_one(depth, s.w, s.gamma)
    if loss is None:
        first, second = sympy.Symbol("l'(f)"), sympy.Symbol("l''(f)")
    else:
        first, second = derive_slope(loss, f), sympy.diff(loss.expression(s.f), s.f, 2).subs(s.f, f)
    parts = {"gauss_newton": second * sympy.diff(f, s.w) ** 2, "residual": first * sympy.diff(f, s.w, 2)}
    parts["total"] = sum(parts.values()) if loss is None else sympy.diff(loss.expression(f), s.w, 2)
    return SimpleNamespace(**{name: part if w is None else part.subs(s.w, w) for name, part in parts.items()})


def curvature_letter(loss: Any) -> Any:
    """Return ``h_l = l''(1)``: 1 for MSE, else the letter h, whose value is `losses.derive_curvature_at_minimum`."""
    return derive_curvature_at_minimum(loss) if isinstance(loss, MSE) else letters().h


def derive_sharpness_one(depth: Any, loss: Any) -> Any:
    """Return ``l''(w*) = h_l L**2 (1 + gamma)**(2 - 2/L)/gamma**2`` as sympy (eq. 6, uniformly in gamma)."""
    import sympy

    s = letters()
    star = derive_minimum(depth)
    kernel = OneParameter.gradient(SimpleNamespace(depth=depth), s.w, s.gamma)[0] ** 2  # type: ignore[arg-type]
    # the residual part vanishes with l'(1) = 0, and the Gauss-Newton part h_l K remains
    return curvature_letter(loss) * sympy.powsimp(sympy.powdenest(kernel.subs(s.w, star), force=True))


def derive_kernel_two(f: Any) -> Any:
    """Return ``K = (2/gamma**2) sqrt(1 + gamma**2 f**2)``, the two-parameter kernel at the output f on gradient flow's path.

    Gradient flow conserves ``u1**2 - u2**2``, which is 1 at the start, and
    ``(u1**2 + u2**2)**2 = (u1**2 - u2**2)**2 + (2 u1 u2)**2`` with ``2 u1 u2 = gamma f``.
    """
    import sympy

    s = letters()
    model = TwoParameter()
    along, across = model.gradient(s.u1, s.u2, s.gamma)
    conserved = s.u1**2 - s.u2**2
    rate = sympy.diff(conserved, s.u1) * along + sympy.diff(conserved, s.u2) * across
    start = dict(zip((s.u1, s.u2), model.start, strict=True))
    output = model.output(s.u1, s.u2, s.gamma)
    square = sympy.expand((s.u1**2 + s.u2**2) ** 2 - conserved**2 - (s.gamma * output) ** 2)
    if sympy.simplify(rate) != 0 or square != 0:
        raise ArithmeticError("u1**2 - u2**2 is not conserved: the model and the theory differ")
    sum_of_squares = sympy.sqrt(conserved.subs(start) ** 2 + (s.gamma * f) ** 2)
    return sympy.expand(model.kernel(s.u1, s.u2, s.gamma).subs(s.u1**2, sum_of_squares - s.u2**2))


def derive_sharpness_two(loss: Any) -> Any:
    """Return ``h_l K`` at the minimum that gradient flow reaches, ``2 h_l sqrt(1 + gamma**2)/gamma**2``, as sympy.

    The sharpness of the untied update: the eigenvalue of its Jacobian at a minimum is ``1 - eta h_l K``.
    """
    return curvature_letter(loss) * derive_kernel_two(1)


def derive_flattest_minimum(loss: Any) -> tuple[Any, Any]:
    """Return ``(u1, h_l K)`` of the flattest of the two-parameter model's minima: u1 = u2 = sqrt(gamma/2), sharpness 2 h_l/gamma.

    Above ``eta = 2/(h_l K) = gamma/h_l`` no minimum is stable.
    """
    flat, kernel = _solve_flattest_kernel()
    return flat, curvature_letter(loss) * kernel


@cache
def _solve_flattest_kernel() -> tuple[Any, Any]:
    """Return ``(u1, K)`` where K is least among the minima ``2 u1 u2 = gamma``."""
    import sympy

    s = letters()
    u1 = sympy.Symbol("u1", positive=True)
    (u2,) = sympy.solve(TwoParameter().output(u1, s.u2, s.gamma) - 1, s.u2)
    kernel = TwoParameter().kernel(u1, u2, s.gamma)
    (flat,) = sympy.solve(sympy.diff(kernel, u1), u1)
    if not sympy.diff(kernel, u1, 2).is_positive:
        raise ArithmeticError("the stationary kernel is no minimum")
    return flat, sympy.simplify(kernel.subs(u1, flat))


def derive_sharpening(depth: Any) -> Any:
    """Return how much the Gauss-Newton sharpness grows from the start to the minimum per unit of l'': ``(1 + gamma)**(2 - 2/L)``.

    Progressive sharpening: at the start ``K = L**2/gamma**2``, at the minimum this many times more. Trained at eta_max the run arrives
    exactly at ``2/eta``; trained above, it meets 2/eta on its way.
    """
    import sympy

    s = letters()
    kernel = OneParameter.gradient(SimpleNamespace(depth=depth), s.w, s.gamma)[0] ** 2  # type: ignore[arg-type]
    return sympy.powsimp(sympy.powdenest(kernel.subs(s.w, derive_minimum(depth)) / kernel.subs(s.w, 1), force=True))
