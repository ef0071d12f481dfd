"""Derive the edges of stability and of divergence in sympy, for SGD and heavy ball: eta_max, eta_crit, eta_div and its invariant.

`landscape.py` has the sharpness. The catapults with cross-entropy are in `catapult_edges.py`, SignSGD is in `signsgd.py`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from toymodels.losses import MSE
from toymodels.models import Model, OneParameter, TwoParameter
from toymodels.theory.curves import stability_edge_one, stability_edge_two
from toymodels.theory.landscape import derive_sharpness_one, derive_sharpness_two, output_one
from toymodels.theory.losses import derive_slope, derive_tail_slopes
from toymodels.theory.symbols import letters


@cache
def derive_stability_factor(beta: Any = 0) -> Any:
    """Return the product ``eta lambda`` at which a quadratic of curvature lambda loses stability: ``2 (1 + beta)``; 2 for SGD.

    Heavy ball on ``lambda x^2/2``: ``x'' = (1 + beta - eta lambda) x' - beta x``. Stability is lost where a root of the
    characteristic polynomial passes -1 (that it does not pass +1 or the circle earlier: beta < 1).
    """
    import sympy

    z, product = sympy.symbols("z s")
    beta = sympy.nsimplify(beta) if not isinstance(beta, sympy.Expr) else beta
    polynomial = z**2 - (1 + beta - product) * z + beta
    (solution,) = sympy.solve(polynomial.subs(z, -1), product)
    return sympy.factor(solution)


def derive_edge_of_stability(model: Model | Any, loss: Any, beta: Any = 0) -> Any:
    """Return ``2 (1 + beta)/(h_l K)`` at the minimum that gradient flow reaches, as sympy in gamma.

    One parameter: eta_max (eq. 7, with its prefactor and uniformly in gamma). Two parameters: eta_crit.

    Parameters
    ----------
    model : OneParameter(depth), TwoParameter(), or the symbol L for the first at any depth.
    loss : a loss with an ``expression``.
    beta : heavy ball's momentum; 0 is SGD.
    """
    import sympy

    if isinstance(model, TwoParameter):
        sharpness = derive_sharpness_two(loss)
    else:
        sharpness = derive_sharpness_one(model.depth if isinstance(model, OneParameter) else model, loss)
    return sympy.simplify(derive_stability_factor(beta) / sharpness)


def invariant_in_letters() -> Any:
    """Return ``I = eta (p^2 + q^2)/(2 gamma^2) - 2 + a^2 Delta/2`` as sympy, ``p, q = u1 +- u2``, ``a = eta/gamma``, ``Delta = 1 - f``."""
    s = letters()
    return s.eta * (s.p**2 + s.q**2) / (2 * s.gamma**2) - 2 + s.a**2 * s.Delta / 2


@cache
def derive_invariant() -> tuple[Any, Any, Any]:
    """Return ``(I, I', I' - I (1 - a^2 Delta + a^2 Delta^2))`` of the two-parameter MSE map; sympy reduces the third to zero.

    With p, q = u1 +- u2 and a = eta/gamma the map is ``p <- p (1 + a Delta)``, ``q <- q (1 - a Delta)``. With
    ``P = eta p^2/(2 gamma^2)``, ``Q = eta q^2/(2 gamma^2)`` the quantity ``I = P + Q - 2 + a^2 Delta/2`` keeps its sign,
    because the factor is positive for a < 2: the sign of I at the start separates bounded runs from diverging ones.

    Returns
    -------
    I in p and q, I after one step in p and q, and the difference, expanded.
    """
    import sympy

    s = letters()
    gamma, eta = s.gamma, s.eta
    model, loss = TwoParameter(), MSE()

    def quantity(p: Any, q: Any) -> Any:
        delta = 1 - model.output((p + q) / 2, (p - q) / 2, gamma)
        return invariant_in_letters().subs({s.p: p, s.q: q, s.a: eta / gamma, s.Delta: delta}, simultaneous=True)

    u1, u2 = (s.p + s.q) / 2, (s.p - s.q) / 2
    f = model.output(u1, u2, gamma)
    g1, g2 = model.gradient(u1, u2, gamma)
    new1, new2 = u1 - eta * derive_slope(loss, f) * g1, u2 - eta * derive_slope(loss, f) * g2
    before, after = quantity(s.p, s.q), quantity(new1 + new2, new1 - new2)
    delta, a = 1 - f, eta / gamma
    identity = sympy.expand(after - before * (1 - a**2 * delta + a**2 * delta**2))
    return sympy.factor(before), after, identity


@cache
def derive_divergence_two() -> Any:
    """Return ``eta_div = sqrt(1 + 4 gamma^2) - 1``: the eta at which the invariant is zero at the start, p = q = 1."""
    import sympy

    s = letters()
    before, _, identity = derive_invariant()
    if identity != 0:
        raise ArithmeticError("the invariant's identity fails")
    u1, u2 = TwoParameter.start
    start = sympy.numer(sympy.together(before.subs({s.p: u1 + u2, s.q: u1 - u2})))
    roots = sympy.solve(start, s.eta)
    (root,) = [r for r in roots if r.subs(s.gamma, 1) > 0]
    return root


def derive_divergence_one(depth: int, loss: Any) -> Any:
    """Return eta_div of the one-parameter model as sympy in gamma, or None where there is no such closed edge.

    L = 1 and MSE: a linear map, divergence at once where stability is lost. L = 2 and MSE: at twice that, exactly, where the
    cubic map's cycle ``x, -x`` about the saddle meets what the map can reach. L = 2 and a loss that is straight far out: the
    weight is multiplied by ``1 - 2 eta l'(oo)/gamma`` there, and grows once that is below -1. L = 1 and such a loss: the steps
    are bounded, it never diverges. L >= 3: the edge is fractal.
    """
    import sympy

    s = letters()
    if isinstance(loss, MSE) and depth == 1:
        return derive_edge_of_stability(OneParameter(1), loss)
    if isinstance(loss, MSE) and depth == 2:
        return _derive_divergence_depth_two()
    if depth == 2:
        tail = derive_tail_slopes(loss)[1]
        if tail.is_finite:
            factor = sympy.cancel((s.w - s.eta * tail * sympy.diff(output_one(2, s.w, s.gamma), s.w)) / s.w)
            (solution,) = sympy.solve(factor + 1, s.eta)
            return sympy.simplify(solution)
    return None


@cache
def _derive_divergence_depth_two() -> Any:
    """Return the eta at which the L = 2 MSE map sends its critical point to the unstable cycle ``x -> -x``.

    In x = w/w*, ``x <- g(x) = x + (s/2) x (1 - x^2)``. Beyond ``x_b``, where ``g(x_b) = -x_b``, every step grows. The largest
    value of a bounded run is g at its maximum x_c. The two meet at s = 4, and ``s = eta l''(w*)``.
    """
    import sympy

    s = letters()
    x, product = s.x, s.s
    f = output_one(2, s.w, s.gamma)
    step = s.w - s.eta * derive_slope(MSE(), f) * sympy.diff(f, s.w)
    star = sympy.sqrt(1 + s.gamma)
    curvature = derive_sharpness_one(2, MSE())
    g = sympy.simplify(sympy.expand((step / star).subs(s.eta, product / curvature).subs(s.w, x * star)))
    if s.gamma in g.free_symbols:
        raise ArithmeticError("gamma should drop out of the map in x = w/w*")
    (critical,) = sympy.solve(sympy.diff(g, x), x)
    (border,) = sympy.solve(sympy.cancel((g + x) / x), x)
    (solution,) = [v for v in sympy.solve(sympy.expand(g.subs(x, critical) ** 2 - border**2), product) if v > 2]
    return sympy.simplify(solution / curvature)


def numeric_sharpness(model: Model, gamma: Any) -> Any:
    """Return the sharpness of MSE at the minimum that gradient flow reaches, as numbers in the shape of gamma."""
    return 2 / (stability_edge_one(gamma, 1, 0.5, model.depth, MSE()) if isinstance(model, OneParameter)
                else stability_edge_two(gamma, 1, 0.5, MSE()))
