"""Derive the upper edges of runs with label noise or Gaussian batches, where the minimum is a parabola: SGD, one parameter.

With a = eta h, h the sharpness at the minimum, and x = f - f*, one step is ``x <- x - a m (x - sigma xi)``: xi = +-1 is the label
noise, m the mean square of B Gaussian inputs, ``E m = 1``, ``E m^2 = M = 1 + 2/B``.

    E x^2  <-  (1 - 2 a + a^2 M) E x^2 + a^2 M sigma^2

Label noise leaves a stationary excess ``a M sigma^2/(2 - a M)``, which is rho at ``a = (2/M) rho/(rho + sigma^2)``. Without it the mean
square grows from ``a = 2/M`` on, because rare steps are long. A single run does not: it decays as long as ``E log|1 - a m| < 0``, to the
almost-sure edge, which is what a traced edge shows. With B = 1 it is 3.6 times as high.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np

from toymodels.losses import MSE
from toymodels.models import AnyModel, OneParameter
from toymodels.optimizers import SGD, Optimizer, SignSGD
from toymodels.own.loss import Loss as OwnLoss
from toymodels.theory.edge import Edge
from toymodels.theory.flow_time import panels
from toymodels.theory.own_edges import OwnEdge

WILD = 16      # below this batch size the excursions of a run that converges leave the parabola


@cache
def derive_second_moment() -> Any:
    """Return ``E x^2`` after one step as sympy, in the letters a, M, sigma and E, from ``x - a m (x - sigma xi)``."""
    import sympy

    a, second, sigma, energy = sympy.symbols("a M sigma E", positive=True)
    x, m, xi = sympy.symbols("x m xi")
    step = sympy.expand((x - a * m * (x - sigma * xi)) ** 2)
    # independent of each other: E m = E xi^2 = 1, E m^2 = M, E x^2 = E, and odd powers of xi vanish
    mean = sum(coefficient * {0: 1, 1: 1, 2: second}[p] * {0: 1, 1: sympy.Symbol("mean"), 2: energy}[q] * {0: 1, 1: 0, 2: 1}[r]
               for (p, q, r), coefficient in sympy.Poly(step, m, x, xi).terms())
    return sympy.collect(sympy.expand(mean), energy)


@cache
def derive_stationary_excess() -> Any:
    """Return the stationary ``E x^2 = a M sigma^2/(2 - a M)`` as sympy."""
    import sympy

    energy = sympy.Symbol("E", positive=True)
    (solution,) = sympy.solve(derive_second_moment() - energy, energy)
    return sympy.factor(solution)


@cache
def derive_noise_edge() -> Any:
    """Return the a at which the stationary excess is rho, ``2 rho/(M (rho + sigma^2))``, as sympy."""
    import sympy

    a, rho = sympy.symbols("a rho", positive=True)
    (solution,) = sympy.solve(derive_stationary_excess() - rho, a)
    return sympy.factor(solution)


@cache
def derive_mean_square_edge() -> Any:
    """Return the a at which the mean square of a run without label noise begins to grow, ``2/M``, as sympy."""
    import sympy

    a, energy = sympy.symbols("a E", positive=True)
    growth = sympy.expand(derive_second_moment()).coeff(energy)
    (solution,) = [root for root in sympy.solve(growth - 1, a) if root != 0]
    return solution


def mean_square_edge(batch: int) -> float:
    """Return ``eta h`` from which the mean square over streams grows, ``2/(1 + 2/B)``."""
    return 2 / (1 + 2 / batch)


@cache
def almost_sure_edge(batch: int) -> float:
    """Return ``eta h`` from which almost every single run grows: the root of ``E log|1 - a m|``, with an error below 1e-8."""
    from scipy.optimize import brentq

    # by Jensen the growth is below half of log E (1 - a m)^2, which is 0 at the mean-square edge
    return float(brentq(lambda a: measure_growth(a, batch), mean_square_edge(batch), 6.0, xtol=1e-10))


def measure_growth(a: float, batch: int) -> float:
    """Return ``E log|1 - a m|``, m being the mean square of `batch` Gaussian numbers, by quadrature on both sides of the pole m = 1/a.

    Each side is an interval of s from 0 to 1, in which both the logarithm at the pole and the density's root at m = 0 are smooth.
    """
    from scipy.special import gammainccinv, gammaincinv, gammaln

    k, (s, weight) = batch / 2, panels(64)
    low, high, pole = gammaincinv(k, 1e-18) / k, gammainccinv(k, 1e-18) / k, 1 / a
    total = 0.0
    for near, far in ((max(pole, low), high), (min(pole, high), low)):
        # from the near end, with the fourth power, to the far one, with the fourth power, too
        place = s**4 * (35 - 84 * s + 70 * s**2 - 20 * s**3)
        stretch = 140 * s**3 * (1 - s) ** 3
        away = (near - pole) + (far - near) * place      # m - 1/a, without cancellation
        m = pole + away
        density = np.exp((k - 1) * np.log(k * m) - k * m - gammaln(k)) * k
        total += float((np.log(a * np.abs(away)) * density * stretch * weight).sum()) * abs(far - near) * (near != far)
    return total


def noisy_factor(rho: float, noise: float, batch: int | None) -> float:
    """Return ``eta h`` at the upper edge of a long run: at 2 without noise and batches."""
    second = 1.0 if batch is None else 1 + 2 / batch
    if noise:
        return 2 / second * rho / (rho + noise**2)
    return 2.0 if batch is None else almost_sure_edge(batch)


def adapt_edges(edges: Mapping[str, Edge | OwnEdge], model: AnyModel, loss: Any, optimizer: Optimizer, noise: float,
                batch: int | None) -> dict[str, Any]:
    """Return the edges of runs with label noise or batches, from those without; `explain_noise` says why others are absent."""
    if isinstance(optimizer, SignSGD) and not noise:
        return dict(edges)      # the factor m is positive
    found = {}
    if isinstance(optimizer, SGD) and "eta_min" in edges:
        found["eta_min"] = edges["eta_min"]
    upper = edges.get("eta_max")
    if isinstance(upper, Edge) and isinstance(model, OneParameter) and isinstance(optimizer, SGD) and (isinstance(loss, MSE) or not noise):
        of = r"\eta h = \frac{2}{M} \frac{\rho}{\rho + \sigma^2}" if noise else r"E \log|1 - \eta h m| = 0"
        wild = not noise and batch is not None and batch < WILD and isinstance(model, OneParameter) and model.depth > 1
        found["eta_max"] = replace(
            upper, label=("stationary excess, $" if noise else "almost-sure stability, $") + of + "$", source="derived here",
            numeric=partial(_scale, inner=upper.numeric, noise=noise, batch=batch), derive=partial(_derive_curve, upper, noise, batch),
            closing=None, holds=(10_000, 1.0 if noise else 0.02), unjudged=(0.0, np.inf) if wild else None,
            limits="of the parabola at the minimum" + ("; with so small a batch, excursions leave it: measured up to a third lower"
                                                       if wild else ""))
    return found


def explain_noise(model: AnyModel, loss: Any, optimizer: Optimizer, noise: float, batch: int | None) -> list[str]:
    """Return why the upper edges of runs with label noise or batches are not predicted; nothing where eta_max is."""
    if not noise and batch is None:
        return []
    if isinstance(optimizer, SignSGD) and not noise:
        return []
    if not isinstance(optimizer, SGD):
        return [f"No edge is predicted for {optimizer.name} with label noise or batches."]
    if not isinstance(model, OneParameter):
        return ["eta_crit, eta_max and eta_div are not predicted for several parameters with label noise or batches: the noise lowers the "
                "kernel."]
    if not model.is_standard or isinstance(loss, OwnLoss):
        return ["eta_max is not predicted with label noise or batches for another start or target, or a loss of one's own."]
    if noise and not isinstance(loss, MSE):
        return ["eta_max is not predicted for cross-entropy with label noise, which moves its minimum."]
    return ["eta_div is not predicted with label noise or batches."]


def _scale(gamma: np.ndarray, steps: int, rho: float, inner: Any, noise: float, batch: int | None) -> np.ndarray:
    """Return the edge of stability, times ``eta h`` at the upper edge over 2."""
    return np.asarray(inner(gamma, steps, rho) * (noisy_factor(rho, noise, batch) / 2))


def _derive_curve(edge: Edge, noise: float, batch: int | None) -> Any:
    """Return the edge in sympy."""
    import sympy

    from toymodels.theory.asymptotics import explicit_branch
    from toymodels.theory.symbols import letters

    curve = edge.curve
    if noise:
        sigma, second, rho = sympy.Symbol("sigma", positive=True), sympy.Symbol("M", positive=True), sympy.Symbol("rho", positive=True)
        factor = derive_noise_edge().subs(rho, letters().rho) / 2
        values = {sigma: sympy.nsimplify(noise), second: 1 if batch is None else 1 + sympy.Rational(2, batch)}
    else:
        number = sympy.Symbol("a", positive=True)
        factor, values = number / 2, {number: sympy.Float(almost_sure_edge(batch or 1))}
    expression = curve.expression * factor
    branches = {regime: [explicit_branch(expression)] for regime in edge.regimes}
    return replace(curve, expression=expression, branches=branches, values=curve.values | values, formula=None)
