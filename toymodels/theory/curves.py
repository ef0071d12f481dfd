"""Evaluate the predicted edges in numpy, each formula in a form without cancellation from gamma = 1e-12 to 1e12.

The same formulas in sympy are in `stability.py`, `signsgd.py` and `catapult_edges.py`; tests compare the two at thirty digits. Every
function takes gamma of any shape, T and rho, and returns eta in the shape of gamma.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from toymodels.models import Model, OneParameter
from toymodels.schedules import CONSTANT, Schedule, total_factor
from toymodels.theory.flow_time import gradient_flow_time
from toymodels.theory.losses import numeric_curvature, numeric_residual, numeric_tail, solve_excess_root


def flow_edge(gamma: np.ndarray, steps: int, rho: float, model: Model, loss: Any, schedule: Schedule = CONSTANT) -> np.ndarray:
    """Return eta_min = S/T; under a schedule T is the sum of the factors."""
    return gradient_flow_time(model, loss, gamma, rho) / total_factor(schedule, steps)


def closing_point_one(steps: int, depth: int, loss: Any, schedule: Schedule = CONSTANT) -> float:
    """Return ``(2 T (L - 2) r0/(L h_l))**(L/(L - 2))``, the gamma where eta_min meets eta_max of the one-parameter model, L >= 3."""
    start = float(numeric_residual(loss)(np.ones(())))
    return float((2 * total_factor(schedule, steps) * (depth - 2) * start / (depth * numeric_curvature(loss))) ** (depth / (depth - 2)))


def stability_edge_one(gamma: np.ndarray, steps: int, rho: float, depth: int, loss: Any, factor: float = 2.0) -> np.ndarray:
    """Return ``factor gamma^2/(h_l L^2 (1 + gamma)^(2 - 2/L))``: eta_max of the one-parameter model."""
    return factor * gamma**2 / (numeric_curvature(loss) * depth**2) * np.exp((2 / depth - 2) * np.log1p(gamma))


def stability_edge_two(gamma: np.ndarray, steps: int, rho: float, loss: Any, factor: float = 2.0) -> np.ndarray:
    """Return ``(factor/2) gamma^2/(h_l sqrt(1 + gamma^2))``: eta_crit of the two-parameter model."""
    return factor / 2 * gamma * (gamma / np.hypot(1, gamma)) / numeric_curvature(loss)


def divergence_edge_two(gamma: np.ndarray, steps: int, rho: float) -> np.ndarray:
    """Return ``sqrt(1 + 4 gamma^2) - 1 = 4 gamma^2/(1 + sqrt(1 + 4 gamma^2))``."""
    return 2 * gamma * (2 * gamma / (1 + np.hypot(1, 2 * gamma)))


def convergence_edge_two(gamma: np.ndarray, steps: int, rho: float) -> np.ndarray:
    """Return ``min(eta_div, gamma)``: eta_max of the two-parameter model with MSE."""
    return np.minimum(divergence_edge_two(gamma, steps, rho), gamma)


def straight_divergence_edge(gamma: np.ndarray, steps: int, rho: float, loss: Any) -> np.ndarray:
    """Return ``gamma/l'(oo)`` for gamma < 1, NaN beyond: eta_div at L = 2 of a loss that is straight far out."""
    return np.where(gamma < 1, gamma / numeric_tail(loss), np.nan)


def signsgd_eta_min(gamma: np.ndarray, steps: int, rho: float, model: Model, loss: Any, schedule: Schedule = CONSTANT) -> np.ndarray:
    """Return SignSGD's eta_min: the distance to f1 in T equal steps, or in steps proportional to a schedule's factors.

    With two parameters the first step moves u2 alone, since the gradient of u1 is still 0.
    """
    f1 = 1 - solve_excess_root(loss, rho)
    total = total_factor(schedule, steps)
    if isinstance(model, OneParameter):
        return np.expm1(np.log1p(gamma * f1) / model.depth) / total
    x, first = gamma * f1, 1.0 if schedule == CONSTANT else float(schedule.factors(steps)[0])
    return x / total / (1 + np.sqrt(1 + 2 * x * ((total - first) / total)))


def signsgd_eta_max(gamma: np.ndarray, steps: int, rho: float, model: Model, loss: Any) -> np.ndarray:
    """Return SignSGD's eta_max: the step from the minimum to the excess rho, on the side where it is smaller."""
    up, down = -solve_excess_root(loss, rho, "above"), -solve_excess_root(loss, rho, "below")     # f2 - 1 > 0, f1 - 1 < 0
    if isinstance(model, OneParameter):
        star, share = np.log1p(gamma) / model.depth, gamma / (1 + gamma)
        sides = [np.exp(star) * np.abs(np.expm1(np.log1p(share * d) / model.depth)) for d in (up, down)]
    else:
        sides = [_solve_two_step(gamma, d) for d in (up, down)]
    return np.minimum(*sides)


def _solve_two_step(gamma: np.ndarray, d: float) -> np.ndarray:
    """Return the least positive eta with ``(gamma d)^2 = 4 eta^2 (1 + gamma (2 + d) - 2 eta)``, by iteration from 0.

    The iteration rises monotonically and contracts by ``eta/(1 + gamma (2 + d) - 2 eta)``, below 0.3 for any gamma and |d| < 1.
    """
    eta = np.zeros_like(gamma)
    for _ in range(60):
        eta = gamma * abs(d) / (2 * np.sqrt(1 + gamma * (2 + d) - 2 * eta))
    return eta


def cut_to_lazy(gamma: np.ndarray, steps: int, rho: float, inner: Any, below: float) -> np.ndarray:
    """Return `inner` where gamma < `below`, NaN beyond."""
    return np.where(gamma < below, inner(gamma, steps, rho), np.nan)
