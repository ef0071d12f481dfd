"""Integrate gradient flow of a model of one's own, many gammas at once: its path, the kernel at its end, the time to learn.

The path does not depend on the loss: with z = (f - f_0)/(f* - f_0) from 0 to 1, ``d theta/dz = (f* - f_0) grad f/|grad f|**2``, and the
time is ``S = eta T = Int dz (f* - f_0)/(-l'(f) K)``, K = |grad f|**2.
"""

from __future__ import annotations

import itertools
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.integrate import DOP853, solve_ivp

from toymodels.own.functions import Generated

RTOL = 1e-12
NEAREST = 1e-11     # of 1 - z: nearer to the minimum the rounding of z is larger than the tolerance, and no step is small enough
MOST_CALLS = 10_000    # of the implicit method, for one gamma
MOST_STEPS = 600     # of the explicit method; a path that needs more is stiff


def solve_targets(generated: Generated, distance: np.ndarray, rho: float) -> np.ndarray:
    """Return z in (0, 1) at which the excess has come down to rho, for each distance from start to minimum (n,).

    Bisection of log(1 - z), down to 1e-16; NaN where z is closer to 1 than `NEAREST`.
    """
    unique, places = np.unique(distance, return_inverse=True)
    low, high = np.full(len(unique), np.log(1e-16)), np.zeros(len(unique))
    for _ in range(60):
        middle = (low + high) / 2
        above = excess_at_distance(generated, -np.exp(middle) * unique, unique) > rho
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.where(low < np.log(NEAREST), np.nan, -np.expm1(low))[places]


def excess_at_distance(generated: Generated, d: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Return the excess fraction at the distance d from the minimum."""
    loss = generated.numpy["evaluate_loss"]
    with np.errstate(all="ignore"):
        return np.asarray(loss(d) / loss(-distance))


@lru_cache(maxsize=64)
def _integrate(generated: Generated, gammas: bytes, rho: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    gamma = np.frombuffer(gammas)
    rows = generated.list_rows(gamma)
    count = len(generated.constants)
    distance = rows[:, count]
    ends = solve_targets(generated, distance, rho) if rho else np.ones(len(gamma))
    state = np.zeros((len(generated.model.start) + 1, len(gamma)))
    constants = rows[:, :count + 2].T
    state = _run(generated, constants, distance, state, np.zeros(len(gamma)), ends, with_time=bool(rho))
    time = state[-1].copy()
    state[-1] = 0.0
    state = _run(generated, constants, distance, state, ends, np.ones(len(gamma)), with_time=False)
    with np.errstate(all="ignore"):
        evaluate = generated.numpy["evaluate_output"]
        kernel, first = (np.sum([np.broadcast_to(g, gamma.shape) ** 2 for g in evaluate(constants, *x)[1:]], axis=0)
                         for x in (state[:-1], np.zeros_like(state[:-1])))
    return time, kernel, np.asarray(first)


def gradient_flow(generated: Generated, gamma: np.ndarray, rho: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the time S to the excess rho, and the kernels at the minimum that gradient flow reaches and at the start, each (n,).

    NaN where the path ends before: at a point without gradient, or because the output never reaches the minimum. With rho = 0 no time is
    measured.
    """
    gamma = np.asarray(gamma, dtype=np.float64)
    found = _integrate(generated, gamma.ravel().tobytes(), rho)
    time, kernel, first = (x.reshape(gamma.shape) for x in found)
    return time, kernel, first


def kernel_at_minimum(generated: Generated, gamma: np.ndarray) -> np.ndarray:
    """Return the kernel at the minimum that gradient flow reaches (n,); each gamma is integrated once in a process."""
    missing = np.array(sorted({float(g) for g in gamma} - generated.kernels.keys()))
    if missing.size:
        generated.kernels.update(zip(missing.tolist(), gradient_flow(generated, missing)[1].tolist(), strict=True))
    return np.array([generated.kernels[float(g)] for g in gamma])


def _run(generated: Generated, constants: np.ndarray, distance: np.ndarray, state: np.ndarray, begin: np.ndarray, end: np.ndarray,
         with_time: bool) -> np.ndarray:
    """Return the state (parameters + 1, n) at z = end, by the eighth-order method of Dormand and Prince with a step for each gamma."""
    z, h = begin.copy(), np.minimum(end - begin, 1e-6)
    result = np.full_like(state, np.nan)
    still = begin >= end
    result[:, still] = state[:, still]
    lanes = np.flatnonzero(~still)
    state, z, h = state[:, lanes], z[lanes], h[lanes]
    stages = len(DOP853.C)
    for _ in range(MOST_STEPS):
        if not lanes.size:
            break
        k = np.empty((stages + 1, *state.shape))
        arguments = generated, constants[:, lanes], distance[lanes], with_time
        with np.errstate(all="ignore"):
            k[0] = _rates(*arguments, state, z)
            for s in range(1, stages):
                k[s] = _rates(*arguments, state + h * np.tensordot(DOP853.A[s, :s], k[:s], 1), z + DOP853.C[s] * h)
            new = state + h * np.tensordot(DOP853.B, k[:-1], 1)
            k[-1] = _rates(*arguments, new, z + h)
            fifth, third = (np.tensordot(e, k, 1) for e in (DOP853.E5, DOP853.E3))
            error = np.maximum(_error(fifth[:-1], third[:-1], new[:-1], h), _error(fifth[-1:], third[-1:], new[-1:], h) if with_time else 0)
            good = error <= 1
            factor = np.where(np.isfinite(error), np.clip(0.9 * np.maximum(error, 1e-30) ** (-1 / 8), 0.1, 8.0), 0.1)
        state, z = np.where(good, new, state), np.where(good, z + h, z)
        arrived = good & (z >= end[lanes] * (1 - 4e-16))
        result[:, lanes[arrived]] = state[:, arrived]
        h = np.minimum(h * factor, end[lanes] - z)
        left = ~arrived & (h > 1e-300) & (z + h > z)
        lanes, state, z, h = lanes[left], state[:, left], z[left], h[left]
    for n, i in enumerate(lanes):
        result[:, i] = _run_stiff(generated, constants[:, [i]], distance[[i]], state[:, n], float(z[n]), float(end[i]), with_time)
    return _correct(generated, constants, distance, result, end)


def _run_stiff(generated: Generated, constants: np.ndarray, distance: np.ndarray, state: np.ndarray, z: float, end: float,
               with_time: bool) -> np.ndarray:
    """Return one gamma's state (parameters + 1,) at the end, by an implicit method; NaN where it fails."""
    calls = itertools.count()
    evaluate_output, evaluate_slope = (generated.numpy[name] for name in ("evaluate_output", "evaluate_slope"))
    numbers, apart = tuple(constants[:, 0]), distance[0]

    def rates(z: float, y: np.ndarray) -> list[float]:
        """Return `_rates` of one gamma, in numbers: arrays of one element take five times as long."""
        if next(calls) > MOST_CALLS:
            raise ArithmeticError("gradient flow is too stiff")
        gradient = evaluate_output(numbers, *y[:-1])[1:]
        kernel = sum(g * g for g in gradient)
        time = apart / (-evaluate_slope((z - 1.0) * apart) * kernel) if with_time else 0.0
        return [*(apart * g / kernel for g in gradient), time]

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = solve_ivp(rates, (z, end), state, "LSODA", rtol=1e-11, atol=1e-14 * np.abs(state).max())
        except ArithmeticError:
            return np.full_like(state, np.nan)
    return np.asarray(found.y[:, -1]) if found.success else np.full_like(state, np.nan)


def _error(fifth: np.ndarray, third: np.ndarray, new: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Return the error of a step in units of the tolerance (n,)."""
    a, b = (np.sqrt((e**2).sum(0)) for e in (fifth, third))
    size = np.sqrt((new**2).sum(0))
    return np.where(a == 0, 0.0, h * a * (a / np.hypot(a, 0.1 * b)) / (RTOL * size))


def _rates(generated: Generated, constants: np.ndarray, distance: np.ndarray, with_time: bool, state: np.ndarray,
           z: np.ndarray) -> np.ndarray:
    """Return d state/dz."""
    gradient = np.array([np.broadcast_to(g, z.shape) for g in generated.numpy["evaluate_output"](constants, *state[:-1])[1:]])
    kernel = (gradient**2).sum(0)
    rates = np.zeros_like(state)
    rates[:-1] = distance * gradient / kernel
    if with_time:
        rates[-1] = distance / (-generated.numpy["evaluate_slope"]((z - 1.0) * distance) * kernel)
    return rates


def _correct(generated: Generated, constants: np.ndarray, distance: np.ndarray, state: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the state moved along the gradient onto the output of z = end."""
    with np.errstate(all="ignore"):
        output, *gradient = (np.broadcast_to(x, end.shape) for x in generated.numpy["evaluate_output"](constants, *state[:-1]))
        slopes: Any = np.array(gradient)
        corrected = state.copy()
        corrected[:-1] += (end * distance - output) * slopes / (slopes**2).sum(0)
    return corrected
