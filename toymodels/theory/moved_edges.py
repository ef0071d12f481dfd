"""Predict the edges of the toys with another start or target: as those of a model of one's own, and by formulas where they exist.

Two parameters, MSE. With ``Delta = y - f``, ``a = eta/gamma`` and p, q = u1 +- u2 the map is ``p <- p (1 + a Delta)``,
``q <- q (1 - a Delta)`` for every y, and ``I = eta (p^2 + q^2)/(2 gamma^2) - 2 + a^2 y Delta/2`` is multiplied by
``1 - a^2 y Delta + a^2 Delta^2``. It is zero at the start at eta_div. With y = 0 that is ``eta K(0) = 4`` at every gamma, the edge of
Lewkowycz et al. (2020); eta_crit is ``2/K`` at the minimum, and nothing else ends convergence, since the minimum u = 0 has no sharpness.

One parameter, L = 2, MSE. In ``x = w/w*`` runs are bounded while ``|x|`` is below the cycle ``x^2 = 1 + 4/s``, ``s = eta l''(w*)``: up to
s = 4, and no further than where the start itself lies on the cycle.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np

from toymodels.losses import MSE
from toymodels.models import Model, OneParameter, TwoParameter
from toymodels.optimizers import SGD, Optimizer
from toymodels.schedules import CONSTANT, Constant, Schedule
from toymodels.theory.asymptotics import Branch, explicit_branch
from toymodels.theory.edge import Curve, Edge
from toymodels.theory.losses import as_formulas
from toymodels.theory.own_edges import predict_own
from toymodels.theory.symbols import letters


def predict_from_start(model: Model, loss: Any, optimizer: Optimizer, schedule: Schedule = CONSTANT) -> dict[str, Any]:
    """Return the edges of a toy whose start or target is not the paper's, by name."""
    edges: dict[str, Any] = dict(predict_own(*as_formulas(model, loss), optimizer, schedule))
    if isinstance(model, OneParameter):
        edges.pop("eta_crit", None)      # no catapults: it is eta_max
    if not (isinstance(optimizer, SGD) and isinstance(schedule, Constant) and isinstance(loss, MSE)):
        return edges
    if isinstance(model, TwoParameter):
        regimes = ("lazy", "rich")
        edges["eta_max"] = Edge("eta_max", r"$\min(\eta_\mathrm{div}, \gamma/|y|)$", "Appendix D, for any start and target",
                                partial(convergence_edge, model=model), partial(_derive_convergence, model), regimes)
        edges["eta_div"] = Edge("eta_div", "the invariant", "exact, by the invariant", partial(divergence_edge_two, model=model),
                                partial(_derive_divergence, model), regimes)
        return edges
    if model.depth > 1:
        edges["eta_max"].cap = partial(cap_convergence, model=model)
        edges["eta_max"].limits = "where a run from the start diverges below it, " + (
            "that edge" if model.depth == 2 else "nothing is predicted")
    if model.depth <= 2:
        edges["eta_div"] = Edge("eta_div", "divergence", "exact", partial(divergence_edge_one, model=model),
                                partial(_derive_divergence_one, model), ("lazy", "rich") if model.target >= 0 else ("lazy",))
    return edges


def divergence_edge_two(gamma: np.ndarray, steps: int, rho: float, model: TwoParameter) -> np.ndarray:
    """Return ``4 gamma^2/(N + sqrt(N^2 + 4 gamma^2 y (y - f_0)))``, ``N = u1^2 + u2^2`` at the start."""
    (u, v), y = model.start, model.target
    size = u * u + v * v
    return gamma * (4 * gamma / (size + np.sqrt(size**2 - 8 * gamma * y * u * v + (2 * gamma * y) ** 2)))


def convergence_edge(gamma: np.ndarray, steps: int, rho: float, model: TwoParameter) -> np.ndarray:
    """Return ``min(eta_div, gamma/|y|)``: beyond the latter even the flattest minimum is unstable."""
    edge = divergence_edge_two(gamma, steps, rho, model)
    return edge if model.target == 0 else np.minimum(edge, gamma / abs(model.target))


def divergence_edge_one(gamma: np.ndarray, steps: int, rho: float, model: OneParameter) -> np.ndarray:
    """Return eta_div of one parameter with MSE: ``2 gamma^2`` for L = 1, ``gamma^2/max(1 + gamma y, w_0^2 - 1 - gamma y)`` for L = 2."""
    if model.depth == 1:
        return 2 * gamma**2
    power = 1 + gamma * model.target
    return np.where(power > 0, gamma**2 / np.maximum(np.abs(power), model.start**2 - power), np.nan)


def cap_convergence(gamma: np.ndarray, model: OneParameter) -> np.ndarray:
    """Return where runs diverge from the start, if that is known: L = 2; else NaN where a run at the edge of stability does, and infinity.

    In ``x = w/w*`` the map at the edge is ``x <- x + (2/L) x^(L-1) (1 - x^L)``.
    """
    if model.depth == 2:
        return divergence_edge_one(gamma, 1, 0.5, model)
    L = model.depth
    with np.errstate(all="ignore"):
        x = model.start / (1 + gamma * model.target) ** (1 / L)
        for _ in range(100):
            x = np.clip(x + (2 / L) * x ** (L - 1) * (1 - x**L), -1e9, 1e9)
    return np.where(np.abs(x) < 1e6, np.inf, np.nan)


@cache
def derive_invariant_of_target() -> tuple[Any, Any]:
    """Return ``I`` as sympy in u1, u2, eta, gamma and y, and ``I' - I (1 - a^2 y Delta + a^2 Delta^2)``, which sympy reduces to zero."""
    import sympy

    s, y = letters(), sympy.Symbol("y", real=True)
    u1, u2, a = s.u1, s.u2, s.eta / s.gamma

    def quantity(u: Any, v: Any) -> Any:
        delta = y - TwoParameter().output(u, v, s.gamma)
        return s.eta * (u**2 + v**2) / s.gamma**2 - 2 + a**2 * y * delta / 2

    delta = y - TwoParameter().output(u1, u2, s.gamma)
    g1, g2 = TwoParameter().gradient(u1, u2, s.gamma)
    after = quantity(u1 + s.eta * delta * g1, u2 + s.eta * delta * g2)
    return quantity(u1, u2), sympy.expand(after - quantity(u1, u2) * (1 - a**2 * y * delta + a**2 * delta**2))


def _in_both(*parts: Any) -> dict[str, list[Branch]]:
    """Return the same branches in both regimes."""
    return {"lazy": [*map(explicit_branch, parts)], "rich": [*map(explicit_branch, parts)]}


@cache
def _derive_divergence(model: TwoParameter) -> Curve:
    """Return the eta at which the invariant vanishes at the start, in sympy."""
    import sympy

    from toymodels.models import as_fraction

    s = letters()
    invariant, identity = derive_invariant_of_target()
    if identity != 0:
        raise ArithmeticError("the invariant's identity fails")
    (u, v), y = map(as_fraction, model.start), as_fraction(model.target)
    size, under = u**2 + v**2, y * (y - TwoParameter().output(u, v, s.gamma))
    expression = 4 * s.gamma**2 / (size + sympy.sqrt(size**2 + 4 * s.gamma**2 * sympy.expand(under)))
    begin = invariant.subs({s.u1: u, s.u2: v, "y": y}).subs(sympy.Symbol("y", real=True), y)
    if sympy.simplify(sympy.numer(sympy.together(begin.subs(s.eta, expression)))) != 0:
        raise ArithmeticError("the invariant does not vanish at eta_div")
    return Curve(expression, _in_both(expression))


@cache
def _derive_convergence(model: TwoParameter) -> Curve:
    """Return ``min(eta_div, gamma/|y|)`` in sympy."""
    import sympy

    from toymodels.models import as_fraction

    parts = [_derive_divergence(model).expression]
    if model.target:
        parts.append(letters().gamma / abs(as_fraction(model.target)))
    return Curve(sympy.Min(*parts), _in_both(*parts))


@cache
def _derive_divergence_one(model: OneParameter) -> Curve:
    """Return eta_div of one parameter in sympy."""
    import sympy

    from toymodels.models import as_fraction

    gamma, w, y = letters().gamma, as_fraction(model.start), as_fraction(model.target)
    if model.depth == 1:
        expression = 2 * gamma**2
        return Curve(expression, _in_both(expression))
    power = 1 + gamma * y
    sides = gamma**2 / power, gamma**2 / (w**2 - power)
    expression = sympy.Piecewise((gamma**2 / sympy.Max(power, w**2 - power), power > 0), (sympy.nan, True))
    lazy = sides[1] if w**2 > 2 else sides[0]
    rich = lazy if y == 0 else sides[0]
    return Curve(expression, {"lazy": [explicit_branch(lazy)], "rich": [explicit_branch(rich)]})
