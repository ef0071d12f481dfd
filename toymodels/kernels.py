"""Take steps of the toy models in numba: many learning rates of one gamma side by side, each in a lane of a block.

Every pass takes one step of all lanes, and LLVM vectorises the inner loop. No loss is evaluated in it: the losses are convex in f, so peak
and tail excess follow from the extremes of f over stretches of steps.

The state is the increment, ``w = 1 + gamma u`` and ``f = u (1 + w + ... + w**(L-1))``, because w itself would lose the signal near
gamma = 1e-11. With two parameters it is u1, u2. The loops call functions of the model by their names, `load_constants`, `step_lane` and
`measure_lane`; those of a model of one's own are in `own_kernels.py`. With label noise or batches the gradient of each step is
``(l'(f) + shift) share df/dtheta``, and the sums of the excess are kept, too. Only these loops are compiled for each model, loss and
optimizer; what goes round them, compiled once for all, is in `training_kernels.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np
from numba import carray, njit

from toymodels.arithmetic import copysign, fma, sigmoid
from toymodels.compilation import STEPS, compile_loop

LANES = 128
WIDTH = LANES + 16    # of a block; see `training_kernels.py`
BEYOND = 1e30    # a parameter beyond this has diverged
P1 = 1 / (1 + np.exp(-1.0))

MSE, CROSS_ENTROPY = 0, 1
SGD, SIGNSGD, HEAVY_BALL, ADAM = 0, 1, 2, 3
load_constants = step_lane = measure_lane = None      # the model's, which `with_functions` provides

LOSS_CODE = {"mse": MSE, "cross_entropy": CROSS_ENTROPY}
OPTIMIZER_CODE = {"sgd": SGD, "signsgd": SIGNSGD, "momentum": HEAVY_BALL, "adam": ADAM}


def count_moments(optimizer: int) -> int:
    """Return how many moments of its gradients the optimizer with this code keeps for a parameter."""
    return {HEAVY_BALL: 1, ADAM: 2}.get(optimizer, 0)


def scale_rate(two: bool, optimizer: int, gamma: Any, eta: Any) -> Any:
    """Return eta in the units of the kernel's state (shapes broadcast).

    One parameter, ``w = 1 + gamma u``: ``eta/gamma**2`` where a step is proportional to the gradient, ``eta/gamma`` where it is
    not (SignSGD, Adam). Two parameters: ``eta/gamma`` and ``eta``.
    """
    proportional = optimizer in (SGD, HEAVY_BALL)
    scaled = eta / gamma if proportional else eta * np.ones_like(gamma)
    return scaled if two else scaled / gamma


@njit(forceinline=True)
def _output(L, two, u, v, g):
    """Return f and the factors of ``l'(f)`` in the (scaled) gradient; g is gamma, with two parameters 2/gamma."""
    if two:
        return g * (u * v), v, u
    w = fma(g, u, 1.0)
    powers, slope = 1.0, float(L)
    for _ in range(L - 1):
        powers = fma(powers, w, 1.0)
        slope = slope * w
    return u * powers, slope, 0.0


@njit(forceinline=True)
def _slope(loss, f):
    """Return ``l'(f)``."""
    if loss == MSE:
        return f - 1.0
    return sigmoid(f) - P1


@njit(forceinline=True)
def _sign(x):
    return 1.0 if x > 0.0 else (-1.0 if x < 0.0 else 0.0 * x)   # 0*x keeps a NaN


@njit(forceinline=True)
def _move(optimizer, x, m, s, slope, e, c1, c2, beta1, beta2, epsilon):
    """Return a parameter and its two moments after one step along the (scaled) gradient `slope`."""
    if optimizer == SGD:
        return fma(-e, slope, x), m, s
    if optimizer == SIGNSGD:
        # a NaN stays one
        return x - copysign(e, slope) if abs(slope) > 0.0 else fma(0.0, slope, x), m, s
    if optimizer == HEAVY_BALL:
        m = fma(beta1, m, slope)
        return fma(-e, m, x), m, s
    m = fma(beta1, m, (1.0 - beta1) * slope)
    s = fma(beta2, s, (1.0 - beta2) * (slope * slope))
    below = fma(np.sqrt(s), c2, epsilon)
    # 0/0, a parameter that has never had a gradient, counts as no step; a NaN stays one
    direction = m * c1 / below if below != 0.0 else 0.0 * m
    return fma(-e, direction, x), m, s


@njit(forceinline=True)
def measure_excess(f, units):
    """Return the excess at f, which only noisy runs sum up; theirs takes the place of this function."""
    return 0.0


@cache
def build_lanes(L: int, loss: int, optimizer: int, two: int, noisy: int = 0) -> tuple[Any, ...]:
    """Return `load_constants`, `step_lane` and `measure_lane` of a built-in model, for `compile_loops`.

    Closures over integers, so that each is compiled without what it does not need.
    """
    momenta, adam, parameters = count_moments(optimizer) >= 1, count_moments(optimizer) == 2, 2 if two else 1

    @njit(forceinline=True)
    def load_constants(row):
        """Return a row's constants, as numbers that the loops keep in registers."""
        return (row[0],)

    @njit(forceinline=True)
    def step_lane(block, i, constants, e, c1, c2, beta1, beta2, epsilon, shift, share):
        """Take one step of the lane `i` and return f before it; the parameters are followed by their first and second moments."""
        u, v = block[0, i], block[1, i] if two else 0.0
        f, du, dv = _output(L, two, u, v, constants[0])
        slope = _slope(loss, f)
        if noisy:
            slope = (slope + shift) * share
        u, m, s = _move(optimizer, u, block[parameters, i] if momenta else 0.0, block[2 * parameters, i] if adam else 0.0,
                        slope * du, e, c1, c2, beta1, beta2, epsilon)
        block[0, i] = u
        if momenta:
            block[parameters, i] = m
        if adam:
            block[2 * parameters, i] = s
        if two:
            v, m, s = _move(optimizer, v, block[parameters + 1, i] if momenta else 0.0, block[2 * parameters + 1, i] if adam else 0.0,
                            slope * dv, e, c1, c2, beta1, beta2, epsilon)
            block[1, i] = v
            if momenta:
                block[parameters + 1, i] = m
            if adam:
                block[2 * parameters + 1, i] = s
        return f

    @njit(forceinline=True)
    def measure_lane(block, i, constants):
        """Return f of the lane `i`, the size of its largest parameter, and w (two parameters: u1^2 + u2^2)."""
        u, v = block[0, i], block[1, i] if two else 0.0
        f, _, _ = _output(L, two, u, v, constants[0])
        if two:
            return f, max(abs(u), abs(v)), u * u + v * v
        w = fma(constants[0], u, 1.0)
        return f, abs(w), w

    return load_constants, step_lane, measure_lane


def list_constants(L: int, two: bool, gamma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of constants (n, 1) of the built-in models, and the largest f of a bounded run at each gamma (n,).

    A |w| > 1e30 that has come back within a chunk still shows in the extremes of f.
    """
    if two:
        return 2.0 / gamma[:, None], np.full(len(gamma), np.inf)
    exponent = 30.0 * L - np.log10(gamma)
    return gamma[:, None].copy(), np.where(exponent < 308.0, 10.0 ** np.minimum(exponent, 308.0), np.inf)


def with_functions(function: Callable[..., Any], functions: tuple[Any, ...], name: str) -> Callable[..., Any]:
    """Return the function, not yet compiled, with these global functions; the name, which identifies them, is that of its cache."""
    own = {f.__name__: f for f in functions}
    bound = FunctionType(function.__code__, function.__globals__ | own, function.__name__, function.__defaults__, function.__closure__)
    bound.__qualname__ = f"{function.__name__}.{name}"
    return bound


def list_rows(states: int, noisy: int) -> tuple[int, int, int, int, int]:
    """Return the rows of a block: of the largest and the smallest f, of the former states, of the sum of the excess, and their number.

    First come the states; before the former ones the scaled rate, and last what is measured: f, the size of the largest parameter, and w.
    """
    return states, states + 1, states + 3, 2 * states + 3, 2 * states + 6 + noisy


@cache
def compile_loops(name: str, functions: tuple[Any, ...], optimizer: int, parameters: int, recurs: int,
                  noisy: int = 0) -> tuple[Callable[[], int], Callable[[], int]]:
    """Return what returns the addresses of the compiled ``advance`` and ``survive``, for `training_kernels`.

    Parameters
    ----------
    name : identifies the functions, for the cache of machine code.
    functions : `load_constants`, `step_lane` and `measure_lane`, as `build_lanes` returns them; of noisy runs also `measure_excess`.
    optimizer : `SGD`, `SIGNSGD`, `HEAVY_BALL` or `ADAM`.
    parameters : their number.
    recurs : 1 if a state that recurs once recurs for ever; 0 for Adam, schedules and noise, whose steps depend on the time.
    noisy : 1 with label noise or batches.

    Notes
    -----
    Arguments of both: `block`, of the rows of `list_rows` and `WIDTH` columns; `constants` and `units`, the row's; `factors` (T, 3) the
    schedule's factor and Adam's two bias corrections, of noisy runs (T, 5), with what is added to l'(f) and the factor of the gradient;
    `numbers` (3,) beta or beta1, beta2, epsilon; then whole numbers.

    ``advance(..., lanes, begin, end)`` takes the steps of the times from begin to end (excluded) of the first lanes, a multiple of 8, and
    measures them. ``survive(..., lane, begin, end)`` takes one lane's steps until it is non-finite or beyond 1e30, and returns that time.
    """
    states = parameters * (1 + {HEAVY_BALL: 1, ADAM: 2}.get(optimizer, 0))
    columns, width = 5 if noisy else 3, WIDTH
    top_row, bottom_row, former_row, total_row, rows = list_rows(states, noisy)
    rate_row, measured_row = former_row - 1, rows - 3

    def advance(memory, constants, factors, numbers, units, lanes, begin, end):
        block = carray(memory, (rows, width))
        top, bottom, e, total = block[top_row], block[bottom_row], block[rate_row], block[total_row]
        former, measured = block[former_row:], block[measured_row:]
        beta1, beta2, epsilon = numbers[0], numbers[1], numbers[2]
        shift, share = 0.0, 1.0
        c = load_constants(constants)
        for a in range(states):
            for i in range(lanes):
                former[a, i] = block[a, i]
        for j in range(begin, end):
            factor, c1, c2 = factors[columns * j], factors[columns * j + 1], factors[columns * j + 2]
            if noisy:
                shift, share = factors[columns * j + 3], factors[columns * j + 4]
            for i in range(lanes):
                f = step_lane(block, i, c, e[i] if recurs else e[i] * factor, c1, c2, beta1, beta2, epsilon, shift, share)
                if noisy:
                    total[i] += measure_excess(f, units)
                a = top[i]
                top[i] = f if f > a else a
                a = bottom[i]
                bottom[i] = f if f < a else a
        for i in range(lanes):
            measured[0, i], measured[1, i], measured[2, i] = measure_lane(block, i, c)
        return end

    def survive(memory, constants, factors, numbers, units, lane, begin, end):
        block = carray(memory, (rows, width))
        beta1, beta2, epsilon = numbers[0], numbers[1], numbers[2]
        e, shift, share = block[rate_row, lane], 0.0, 1.0
        c = load_constants(constants)
        for j in range(begin, end):
            f, size, _ = measure_lane(block, lane, c)
            if not (size <= BEYOND and abs(f) < np.inf):
                return j
            if noisy:
                shift, share = factors[columns * j + 3], factors[columns * j + 4]
            step_lane(block, lane, c, e if recurs else e * factors[columns * j], factors[columns * j + 1], factors[columns * j + 2],
                      beta1, beta2, epsilon, shift, share)
        return end

    key = f"{name}.{optimizer}{recurs}{'n' * noisy}"
    return compile_loop(with_functions(advance, functions, key), STEPS), compile_loop(with_functions(survive, functions, key), STEPS)
