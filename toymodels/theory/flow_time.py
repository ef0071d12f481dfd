"""Compute S = eta T, the time in which gradient flow brings the excess loss down to rho.

    one parameter    S = (gamma^2/L^2) Int_0^f1 df / [(1 + gamma f)^(2 - 2/L) r(f)]
    two parameters   S = (gamma^2/2)   Int_0^f1 df / [sqrt(1 + gamma^2 f^2) r(f)],      r(f) = -l'(f)

MSE has closed forms, other losses are integrated by Gauss-Legendre panels; `flow.py` derives the integrals (section 4.1 of the paper).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from toymodels.losses import MSE
from toymodels.models import AnyModel, Model, OneParameter, OwnModel, as_model
from toymodels.own.flow import gradient_flow
from toymodels.own.functions import generate
from toymodels.own.loss import Loss as OwnLoss
from toymodels.theory.losses import TheoryLoss, as_formulas, as_theory_loss, numeric_residual, solve_excess_root
from toymodels.theory.roots import solve_falling
from validation.arguments import between, positive


def gradient_flow_time(model: AnyModel, loss: str | TheoryLoss | OwnLoss, gamma: ArrayLike, rho: float = 0.01) -> np.ndarray:
    """Return S = eta T, the learning rate times the steps that gradient flow needs to bring the excess loss down to rho.

    The relative error is below 1e-12 for gamma from 1e-20 to 1e20.

    Parameters
    ----------
    model : OneParameter(depth), TwoParameter() or one's own, Model(output, start).
    loss : "mse", "cross_entropy", one's own, Loss(expression, f, y), or anything with a ``name`` and an ``expression``.
    gamma : richness, any shape, > 0.
    rho : the fraction of the initial excess loss at the end, in (0, 1).

    Returns
    -------
    S, float64, in units of eta (a time times a learning rate), shape of `gamma`.

    Raises
    ------
    Misuse : for an unknown model or loss, gamma not above zero, rho outside (0, 1).
    """
    model, values, rho = as_model(model), positive("gamma", gamma), between("rho", rho, 0, 1)
    if isinstance(model, OwnModel) or not model.is_standard or isinstance(loss, OwnLoss):
        return gradient_flow(generate(*as_formulas(model, loss)), values, rho)[0]
    chosen = as_theory_loss(loss)
    if isinstance(chosen, MSE):
        return _closed_one(model.depth, values, rho) if isinstance(model, OneParameter) else _closed_two(values, rho)
    return integrate_time(model, chosen, values, rho)


def _closed_one(depth: int, gamma: np.ndarray, rho: Any, fallen: Any = None) -> np.ndarray:
    """Return S for MSE, one parameter; where 1 - rho is known with all its digits, it is `fallen`.

    With x = w/w*, x0 = (1 + gamma)^(-1/L): ``S = gamma^2/(L (1 + gamma)^(2 - 2/L)) Int_x0^x1 x^(1-L)/(1 - x^L) dx``, and
    ``x^(1-L)/(1 - x^L) = x^(1-L) + x/(1 - x^L)``; the second term's integral is ``x^2/2 2F1(1, 2/L; 1 + 2/L; x^L)``.
    """
    root = np.sqrt(rho)
    fallen = 1 - rho if fallen is None else fallen
    target = fallen / (1 + root)                         # 1 - sqrt(rho), also as rho -> 1
    log_end = np.log1p(gamma * target)                   # L log(w1)
    if depth <= 2:
        log_rho = np.where(fallen < 0.5, np.log1p(-np.minimum(fallen, 0.5)), np.log(rho))
        return -gamma**2 / 2 * log_rho if depth == 1 else gamma**2 / (4 * (1 + gamma)) * (log_end - log_rho / 2)
    log_star = np.log1p(gamma)                           # L log(w*)
    power = 2 / depth - 1                                # x^(2-L) = z^power, z = x^L
    # z0^power - z1^power = z0^power (1 - (z1/z0)^power): no difference of near numbers when gamma is small
    first = np.exp(-power * log_star) * np.expm1(power * log_end) / (2 - depth)
    one_minus = gamma / (1 + gamma)                      # 1 - z0; 1 - z1 is sqrt(rho) times this
    z0, z1 = 1 / (1 + gamma), (1 + gamma * target) / (1 + gamma)
    second = _antiderivative(depth, z1, root * one_minus) - _antiderivative(depth, z0, one_minus)
    return gamma**2 / (depth * np.exp((2 - 2 / depth) * log_star)) * (first + second)


def solve_flow_excess(depth: int, gamma: np.ndarray, times: np.ndarray, guess: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the excess to which gradient flow of one parameter brings MSE in a time S = eta T: `gradient_flow_time` inverted.

    To 1e-14 of log(excess/(1 - excess)); below 1e-300 it is 0.

    Parameters
    ----------
    depth : L.
    gamma, times : > 0, of shapes that broadcast.
    guess : of log(excess/(1 - excess)).

    Returns
    -------
    excess, and d log(excess)/dS, which is -2 K.
    """
    gamma, times = np.broadcast_arrays(np.asarray(gamma, dtype=float), np.asarray(times, dtype=float))

    def evaluate(logit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        excess, fallen = 1 / (1 + np.exp(-logit)), 1 / (1 + np.exp(logit))
        time = _closed_one(depth, gamma, excess, fallen)
        return np.log(time) - np.log(times), -fallen / (2 * kernel_of(excess, fallen) * time)

    def kernel_of(excess: np.ndarray, fallen: np.ndarray) -> np.ndarray:
        return (depth / gamma) ** 2 * np.exp((2 - 2 / depth) * np.log1p(gamma * fallen / (1 + np.sqrt(excess))))

    low, high = np.full(gamma.shape, -690.0), np.full(gamma.shape, 36.0)
    logit = solve_falling(evaluate, low, high, np.zeros(gamma.shape) if guess is None else guess)
    with np.errstate(over="ignore"):
        excess, fallen = 1 / (1 + np.exp(-logit)), 1 / (1 + np.exp(logit))
        return excess, -2 * kernel_of(excess, fallen)


def _antiderivative(depth: int, z: np.ndarray, one_minus_z: np.ndarray) -> np.ndarray:
    """Return ``z^c/2 2F1(1, c; 1 + c; z)``, c = 2/L, z in (0, 1), given 1 - z with all its digits.

    scipy's hyp2f1 takes z alone, and z = 1 - 1e-12 has four digits of 1 - z. The two series converge like 2^-n.
    """
    from scipy.special import digamma, poch

    c = 2 / depth
    n = np.arange(56)
    small = np.minimum(z, 0.5)
    far = np.polynomial.polynomial.polyval(small, c / (n + c))
    near = np.minimum(one_minus_z, 0.5)
    weight = c * poch(c, n) / poch(1.0, n)
    # 2F1(a, b; a+b; z) = Gamma(a+b)/(Gamma(a) Gamma(b))
    #                      Sum (a)_n (b)_n/n!^2 [2 psi(n+1) - psi(a+n) - psi(b+n) - log(1-z)] (1-z)^n
    close = (np.polynomial.polynomial.polyval(near, weight * (digamma(n + 1) - digamma(n + c)))
             - np.log(near) * np.polynomial.polynomial.polyval(near, weight))
    return z**c / 2 * np.where(z <= 0.5, far, close)


def _closed_two(gamma: np.ndarray, rho: float) -> np.ndarray:
    """Return S for MSE, two parameters, ``gamma^2/(2c) log[(c sqrt(1 + gamma^2 f1^2) + 1 + gamma^2 f1)/(sqrt(rho) (1 + c))]``.

    ``c = sqrt(1 + gamma^2)``; arranged so that gamma^2 f1 does not overflow.
    """
    root = np.sqrt(rho)
    target = (1 - rho) / (1 + root)
    c, end = np.hypot(1, gamma), np.hypot(1, gamma * target)
    # the logarithm's argument less one, every term positive: [c (end - 1) + gamma^2 f1 + (1 + c)(1 - sqrt(rho))]/[sqrt(rho) (1 + c)]
    rise = gamma * target * (c / (1 + c) * (gamma * target / (1 + end)) + gamma / (1 + c)) + target
    return gamma * (gamma / (2 * c)) * np.log1p(rise / root)


def integrate_time(model: Model, loss: TheoryLoss, gamma: np.ndarray, rho: float) -> np.ndarray:
    """Return S by Gauss-Legendre panels, for any loss (with a relative error of 1e-13 for the paper's losses).

    Two substitutions keep the integrand smooth: below f = 1/2, v = log(1 + gamma f) (asinh(gamma f) for two parameters),
    which spreads the start f ~ 1/gamma where a rich run spends its time; above, y = -log(1 - f), which spreads the approach.

    Parameters
    ----------
    model : OneParameter(depth) or TwoParameter().
    loss : an object with a ``name`` and an ``expression``, or one of the package's.
    gamma : richness, any shape, > 0.
    rho : the fraction of the initial excess loss at the end.

    Returns
    -------
    S, float64, in units of eta, shape of `gamma`.
    """
    gamma = np.asarray(gamma, dtype=np.float64)
    residual, delta1 = numeric_residual(loss), solve_excess_root(loss, rho)
    shape, gamma = gamma.shape, gamma.reshape(-1, 1)
    middle = min(0.5, 1.0 - delta1)
    one = isinstance(model, OneParameter)
    forward, back = (np.log1p, np.expm1) if one else (np.arcsinh, np.sinh)

    top = forward(gamma * middle)                                        # (gamma, 1)
    nodes, weights = panels(int(np.ceil(top.max() if top.size else 0)) + 1)
    v = nodes * top                                                      # (gamma, node)
    f = back(v) / gamma
    # df/dv [conserved factor]: e^v/gamma e^(-(2-2/L) v), and cosh(v)/gamma / cosh(v)
    factor = np.exp((2 / model.depth - 1) * v) if one else 1.0
    total = (factor / residual(1 - f) * weights).sum(1) * top[:, 0] / gamma[:, 0]

    if delta1 < 0.5:
        start, stop = np.log(2.0), -np.log(delta1)
        nodes, weights = panels(int(np.ceil(stop - start)) + 1)
        delta = np.exp(-(start + (stop - start) * nodes))                # (node,)
        f = 1 - delta
        factor = (1 + gamma * f) ** (2 / model.depth - 2) if one else 1 / np.hypot(1, gamma * f)
        total = total + (factor * (delta / residual(delta) * weights)).sum(1) * (stop - start)
    scale = gamma[:, 0] ** 2 / (model.depth**2 if one else 2)
    return (scale * total).reshape(shape)


@cache
def panels(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights of `count` equal Gauss-Legendre panels of 16 nodes on (0, 1), each of shape (16 count,)."""
    x, weight = np.polynomial.legendre.leggauss(16)
    left = np.arange(count)[:, None]
    return ((left + 0.5 * (x + 1)) / count).ravel(), np.tile(0.5 * weight / count, count)
