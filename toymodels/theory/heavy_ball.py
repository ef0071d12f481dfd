"""Heavy ball's eta_min and eta_crit: exact in the lazy limit for any T, and beyond it to first order in momentum's memory over T.

In the lazy limit ``Delta = 1 - f`` obeys ``x_{t+1} = x_t + beta (x_t - x_{t-1}) - kappa r(x_t)`` with ``x_0 = x_{-1} = 1``,
``kappa = eta K(0)`` and the residual r: ``r = x`` for MSE, where x_T is an entry of a matrix's power. The least kappa with excess rho at
T is the lazy edge.

Beyond it, expand ``(1 - beta) theta' + (1 + beta)/2 theta'' + ... = -eta g`` in 1/(T (1 - beta)). To first order gradient flow's time
becomes ``T = (1 - beta) S/eta + beta/(1 - beta) - (log(r(0)/r(f1)) - Q) (1 + beta)/(2 (1 - beta))``: after the delay in which momentum
builds up, a gradient that falls lets momentum run ahead, and one that grows lets it lag behind. Along the path of one parameter the
gradient is ``r df/dw``, and Q the logarithm of df/dw's growth, ``Q = (1 - 1/L) log(1 + gamma f1)``. With two parameters momentum also
leaves gradient flow's hyperbola, and ``Q = (x/2) asinh(x)/sqrt(1 + x^2)``, ``x = gamma f1``.

The least kappa at which a run of the linear problem ever has ``|x| > 1`` is where its loss first exceeds the one it began with: with two
parameters and MSE the catapult-free rates end there, long before stability is lost at ``kappa = 2 (1 + beta)``.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from toymodels.losses import MSE
from toymodels.models import Model, OneParameter
from toymodels.schedules import CONSTANT, Schedule
from toymodels.theory.flow_time import gradient_flow_time
from toymodels.theory.linear_problem import LAZY_END, initial_slope, solve_least_rate
from toymodels.theory.losses import numeric_residual, solve_excess_root

LAG = 0.1      # the largest share of T that the lag may be: what is neglected is of second order in it, measured below 6%


@cache
def solve_rate(steps: int, rho: float, loss: Any, beta: float, schedule: Schedule = CONSTANT) -> float:
    """Return the least ``kappa = eta K(0)`` whose excess after T steps of the linear problem is rho.

    Parameters
    ----------
    steps, rho : T and rho.
    loss : an object of the package, or one's own.
    beta : heavy ball's momentum.
    schedule : of the rate.
    """
    target = solve_excess_root(loss, rho)
    residual = numeric_residual(loss)
    if schedule != CONSTANT:
        factors = schedule.factors(steps)
        memory = np.minimum(np.arange(1, steps + 1), 1 / (1 - beta))
        least = (1 - target) / (float(residual(np.ones(()))) * float((factors * memory).sum()))
        return solve_least_rate(lambda kappa: _train_linear_problem(kappa, factors, beta, residual), target, least)
    # no step is longer than kappa r(0) times the number of gradients in it, of which momentum holds 1/(1 - beta) at most
    least = (1 - target) / (float(residual(np.ones(()))) * min(steps * (steps + 1) / 2, steps / (1 - beta)))
    if isinstance(loss, MSE):
        return solve_least_rate(lambda kappa: _power_of_step(kappa, steps, beta), target, least)
    return solve_least_rate(lambda kappa: _train_linear_problem(kappa, np.ones(steps), beta, residual), target, least)


def _power_of_step(kappa: np.ndarray, steps: int, beta: float) -> np.ndarray:
    """Return x_T for MSE by the T-th power of the matrix of one step.

    The matrix acts on ``(1 - x, v, 1)``, with v the last change of x: on x itself, kappa would be rounded against 1.
    """
    matrix = np.zeros((*kappa.shape, 3, 3))
    matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 0, 2] = 1 - kappa, -beta, kappa
    matrix[..., 1, 0], matrix[..., 1, 1], matrix[..., 1, 2] = kappa, beta, -kappa
    matrix[..., 2, 2] = 1
    with np.errstate(over="ignore", invalid="ignore"):
        return np.nan_to_num(1 - np.linalg.matrix_power(matrix, steps)[..., 0, 2], nan=-np.inf)


def _train_linear_problem(kappa: np.ndarray, factors: np.ndarray, beta: float, residual: Any) -> np.ndarray:
    """Return x_T for every kappa, or the first x below zero; the rate of each step is kappa times its factor."""
    x, m = np.ones_like(kappa), np.zeros_like(kappa)
    for factor in factors:
        m = beta * m + residual(x)
        x = np.where(x > 0, x - factor * kappa * m, x)      # from there on it is not the least rate
    return x


@cache
def solve_overshoot_rate(beta: float) -> float:
    """Return the least ``kappa = eta K(0)`` at which a run of the linear problem of MSE ever overshoots to ``|x| > 1``, to nine digits.

    2 for SGD, whose first step does; about ``(4 pi (1 - beta))**(2/3)`` as beta -> 1, where it is
    the turning point of the first transient overshoot.
    """
    low, high = np.log(1e-3 * (1 - beta)), np.log(2.1 * (1 + beta))
    for _ in range(4):
        kappa = np.exp(np.linspace(low, high, 513))
        x, before, most = np.ones_like(kappa), np.ones_like(kappa), np.zeros_like(kappa)
        for _ in range(math.ceil(40 / math.sqrt(1 - beta))):      # many swings, of which the first few are the largest
            x, before = np.clip((1 + beta - kappa) * x - beta * before, -9.0, 9.0), x
            most = np.maximum(most, np.abs(x))
        first = int(np.argmax(most > 1))
        low, high = np.log(kappa[first - 1]), np.log(kappa[first])
    return float(np.exp((low + high) / 2))


def eta_crit(gamma: np.ndarray, steps: int, rho: float, beta: float) -> np.ndarray:
    """Return ``kappa gamma^2/2``, eta_crit of two parameters with MSE, for gamma up to 0.005; NaN beyond (shape of gamma)."""
    return np.where(gamma <= LAZY_END, solve_overshoot_rate(beta) * gamma**2 / 2, np.nan)


def scheduled_eta_min(gamma: np.ndarray, steps: int, rho: float, model: Model, loss: Any, beta: float, schedule: Schedule) -> np.ndarray:
    """Return eta_min under a schedule, ``kappa/K(0)``, for gamma up to 0.005; NaN beyond (shape of gamma)."""
    kernel = initial_slope(model) ** 2 / (1 if isinstance(model, OneParameter) else 2)
    return np.where(gamma <= LAZY_END, solve_rate(steps, rho, loss, beta, schedule) / kernel * gamma**2, np.nan)


def compute_lag(gamma: np.ndarray, model: Model, f1: float) -> np.ndarray:
    """Return Q (shape of gamma), by which momentum's lag exceeds that of the lazy limit."""
    x = gamma * f1
    return (1 - 1 / model.depth) * np.log1p(x) if isinstance(model, OneParameter) else 0.5 * np.arcsinh(x) * (x / np.hypot(1, x))


def eta_min(gamma: np.ndarray, steps: int, rho: float, model: Model, loss: Any, beta: float) -> np.ndarray:
    """Return eta_min, ``kappa/S_0 S(gamma) T_0/(T_0 - c Q)``, NaN where ``c Q > T/10`` and gamma > 0.005 (shape of gamma).

    ``S_0 = K(0) S(gamma -> 0)``, ``c = (1 + beta)/(2 (1 - beta))``, ``T_0 = T + c log(r(0)/r(f1)) - beta (1 - beta**T)/(1 - beta)``.
    """
    delta = solve_excess_root(loss, rho)
    start, end = (float(numeric_residual(loss)(np.full((), x))) for x in (1.0, delta))
    memory = (1 + beta) / (2 * (1 - beta))
    time = steps + memory * np.log(start / end) - beta * (1 - beta**steps) / (1 - beta)
    lag = memory * compute_lag(gamma, model, 1 - delta)
    inside = (lag <= LAG * steps) | (gamma <= LAZY_END)
    eta = solve_rate(steps, rho, loss, beta) / solve_linear_time(rho, loss) * gradient_flow_time(model, loss, gamma, rho)
    return np.where(inside, eta * time / np.where(inside, time - lag, 1.0), np.nan)


@cache
def solve_linear_time(rho: float, loss: Any) -> float:
    """Return ``S_0 = K S`` of a constant kernel, the integral of 1/r over f from 0 to f1."""
    return float(gradient_flow_time(OneParameter(1), loss, 1.0, rho))


def derive_lag(model: Model) -> Any:
    """Return Q as sympy in gamma and f1."""
    import sympy

    from toymodels.theory.symbols import letters

    x = letters().gamma * letters().f1
    if isinstance(model, OneParameter):
        return (1 - sympy.Rational(1, model.depth)) * sympy.log(1 + x)
    return x * sympy.asinh(x) / (2 * sympy.sqrt(1 + x**2))


def derive_least_rate(loss: Any, beta: float, schedule: Schedule = CONSTANT) -> Any:
    """Return ``kappa(T, rho)`` as a sympy function."""
    from toymodels.theory.symbols import letters, make_numeric_function

    return make_numeric_function("kappa", r"\kappa", _build_rate_function(loss, beta, schedule))(letters().T, letters().rho)


@cache
def _build_rate_function(loss: Any, beta: float, schedule: Schedule) -> Any:
    """Return ``(T, rho) -> kappa``, always the same object for the same arguments."""
    return lambda steps, rho: solve_rate(steps, rho, loss, beta, schedule)


def derive_stretch(model: Model, loss: Any) -> tuple[Any, Any]:
    """Return ``(T_0/(T_0 - c Q), c Q)`` as sympy in gamma, T, beta and f1: how the lag lengthens the time, and the lag."""
    import sympy

    from toymodels.theory.losses import derive_slope
    from toymodels.theory.symbols import letters

    s = letters()
    memory = (1 + s.beta) / (2 * (1 - s.beta))
    growth = sympy.log(sympy.cancel(derive_slope(loss, s.f1) / derive_slope(loss, sympy.Integer(0))))      # of the residual, below zero
    time = s.T - memory * growth - s.beta * (1 - s.beta**s.T) / (1 - s.beta)
    lag = memory * derive_lag(model)
    return time / (time - lag), lag
