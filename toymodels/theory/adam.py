"""Adam's eta_min in the lazy regime: the least rate that solves the linear problem, by simulation.

As gamma -> 0 the output is linear in the parameters, ``f = c (w - 1)/gamma`` with c = L (one parameter) or 2 (two: u2 alone moves f).
Adam is invariant to the scale of the gradient, and its epsilon is in units of the gradient, so a run depends on eta and gamma through
``kappa = c eta/gamma`` alone, and every lazy edge is proportional to gamma. The constant is found by training the linear problem. No
other edge is predicted: the upper one, and in the rich regime the lower one, depend on the transient of the second moment, whose memory
is 1/(1 - beta2) steps.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from toymodels.models import Model
from toymodels.optimizers import Adam
from toymodels.schedules import CONSTANT, Schedule, total_factor
from toymodels.theory.linear_problem import LAZY_END, initial_slope, solve_least_rate
from toymodels.theory.losses import numeric_residual, solve_excess_root


@cache
def solve_rate(steps: int, rho: float, model: Model, loss: Any, optimizer: Adam, schedule: Schedule = CONSTANT) -> float:
    """Return the least kappa whose excess after T steps of the linear problem is rho; takes about T/20 milliseconds.

    Parameters
    ----------
    steps, rho : T and rho.
    model, loss, optimizer, schedule : objects of the package.

    Returns
    -------
    kappa = c eta/gamma, NaN where no rate trains; see `linear_problem.solve_least_rate`.
    """
    target = solve_excess_root(loss, rho)
    # no step is longer than kappa while the residual falls, so kappa is at least (1 - Delta)/T
    factors = schedule.factors(steps)
    least = (1 - target) / total_factor(schedule, steps)
    return solve_least_rate(lambda kappa: _train_linear_problem(kappa, factors, model, loss, optimizer), target, least)


def _train_linear_problem(kappa: np.ndarray, factors: np.ndarray, model: Model, loss: Any, optimizer: Adam) -> np.ndarray:
    """Return Delta = 1 - f after the steps, whose rates are kappa times their factors, for every kappa."""
    residual, b1, b2, epsilon = numeric_residual(loss), optimizer.beta1, optimizer.beta2, optimizer.epsilon / initial_slope(model)
    delta, m, v = np.ones_like(kappa), np.zeros_like(kappa), np.zeros_like(kappa)
    for t, factor in enumerate(factors, 1):
        r = residual(delta)
        m, v = b1 * m + (1 - b1) * r, b2 * v + (1 - b2) * r * r
        delta = delta - factor * kappa * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + epsilon)
    return delta


def eta_min(gamma: np.ndarray, steps: int, rho: float, model: Model, loss: Any, optimizer: Adam,
            schedule: Schedule = CONSTANT) -> np.ndarray:
    """Return eta_min = kappa gamma/c (shape of gamma) for gamma up to 0.005, NaN beyond."""
    return np.where(gamma <= LAZY_END, solve_rate(steps, rho, model, loss, optimizer, schedule) * gamma / initial_slope(model), np.nan)


def derive_eta_min(model: Model, loss: Any, optimizer: Adam, schedule: Schedule = CONSTANT) -> Any:
    """Return ``kappa(T, rho) gamma/c`` as sympy."""
    from toymodels.theory.symbols import letters, make_numeric_function

    s = letters()
    kappa = make_numeric_function("kappa", r"\kappa", _build_rate_function(model, loss, optimizer, schedule))
    return kappa(s.T, s.rho) * s.gamma / initial_slope(model)


@cache
def _build_rate_function(model: Model, loss: Any, optimizer: Adam, schedule: Schedule) -> Any:
    """Return ``(T, rho) -> kappa``, always the same object for the same arguments."""
    return lambda steps, rho: solve_rate(steps, rho, model, loss, optimizer, schedule)
