"""Derive the edges of stability and of divergence in sympy, for SGD and heavy ball: eta_max, eta_crit, and eta_div of one parameter.

`landscape.py` has the sharpness. eta_div of two parameters is in `ellipse.py`, the catapults with cross-entropy are in
`catapult_edges.py`, SignSGD is in `signsgd.py`.
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
