"""Train the toy models in numba: many learning rates of one gamma side by side, a row of pixels of the plane at a time.

The state of `LANES` pixels fits into the L1 cache. Every pass takes one step of all of them, and LLVM vectorises the inner loop. No loss
is evaluated in the loop: the losses are convex in f, so peak and tail excess follow from the extremes of f over stretches of steps. Every
`CHUNK` steps the lanes are checked: a diverged run is dropped, and a state equal to that of `CHUNK` steps ago is in a cycle whose period
divides `CHUNK`; its lane is parked for whole cycles, which changes no bit of its result.

The state is the increment, ``w = 1 + gamma u`` and ``f = u (1 + w + ... + w**(L-1))``, because w itself would lose the signal near
gamma = 1e-11. With two parameters it is u1, u2. The loops call functions of the model by their names, `load_constants`, `step_lane` and
`measure_lane`; those of a model of one's own are in `own_kernels.py`. With label noise or batches the gradient of each step is
``(l'(f) + shift) share df/dtheta``, and the sums of the excess are kept, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np
from numba import njit

from toymodels.arithmetic import compile_kernel, fma, sigmoid

LANES = 128
CHUNK = 60       # divisible by 1..6, 10, 12, 15, 20, 30, 60: the periods of the cycles that are recognised
EARLY = 12       # the first check comes sooner, since much of a plane diverges at once
BEYOND = 1e30    # a parameter beyond this has diverged
P1 = 1 / (1 + np.exp(-1.0))

MSE, CROSS_ENTROPY = 0, 1
SGD, SIGNSGD, HEAVY_BALL, ADAM = 0, 1, 2, 3
load_constants = step_lane = measure_lane = None      # the model's, which `with_functions` provides

LOSS_CODE = {"mse": MSE, "cross_entropy": CROSS_ENTROPY}
OPTIMIZER_CODE = {"sgd": SGD, "signsgd": SIGNSGD, "momentum": HEAVY_BALL, "adam": ADAM}


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
        return fma(-e, _sign(slope), x), m, s
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
    """Return `load_constants`, `step_lane` and `measure_lane` of a built-in model, for `compile_trainer`.

    Closures over integers, so that each is compiled without what it does not need.
    """
    momenta, adam, parameters = optimizer in (HEAVY_BALL, ADAM), optimizer == ADAM, 2 if two else 1

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


@njit(forceinline=True)
def _copy(block, pixel, source, target):
    """Copy one lane, its state and its snapshot."""
    for a in range(block.shape[0]):
        block[a, target] = block[a, source]
    pixel[target] = pixel[source]


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


@cache
def compile_trainer(name: str, functions: tuple[Any, ...], optimizer: int, parameters: int, start: float, recurs: int,
                    noisy: int = 0) -> Any:
    """Return the jitted ``train(constants, wide, rates, boundaries, factors, numbers, units, high, low, sums, f_at, w_at, died)``.

    Parameters
    ----------
    name : identifies the functions, for the cache of machine code.
    functions : `load_constants`, `step_lane` and `measure_lane`, as `build_lanes` returns them; of noisy runs also `measure_excess`.
    optimizer : `SGD`, `SIGNSGD`, `HEAVY_BALL` or `ADAM`.
    parameters : their number.
    start : of the first parameter; every other one starts at 0.
    recurs : 1 if a state that recurs once recurs for ever; 0 for Adam, schedules and noise, whose steps depend on the time.
    noisy : 1 with label noise or batches.

    Notes
    -----
    Of the returned function: `constants` (n, c) and `wide` (n,), by row (see `list_constants`), and `rates` (n, m) say what to train (see
    `scale_rate`); `boundaries` (b,), increasing, > 0, the times at which the runs are measured, the last one T; `factors` (T, 3) the
    schedule's factor and Adam's two bias corrections, of noisy runs (T, 5), with what is added to l'(f) and the factor of the gradient;
    `numbers` (3,) beta or beta1, beta2, epsilon; `units` (n, 2), by row, for `measure_excess`. Written: `high`, `low` and `sums`
    (b, n, m), the extremes of f, and of noisy runs the sum of the excess, over the times from the former boundary (included) to this one
    (excluded); `f_at`, `w_at` (b, n, m), f, and w (two
    parameters: u1^2 + u2^2), at the boundary; `died` (n, m), the first time at which the state was non-finite or beyond 1e30, T + 1 if
    never. What would be measured after a run has diverged is not written.
    """
    moments = {HEAVY_BALL: 1, ADAM: 2}.get(optimizer, 0)
    states = parameters * (1 + moments)
    compared = parameters * (1 + min(moments, 1))       # Adam's states never recur
    lanes, chunk, early = LANES, CHUNK, EARLY
    # stepped lanes fill the block from the left, parked ones from the right; the eight between them let the loop take whole vectors, and
    # a diverged run is stepped again in the last lane
    end_of_lanes, scratch, width = LANES + 8, LANES + 15, LANES + 16
    rows = 2 * states + 3 + noisy

    def train(constants, wide, rates, boundaries, factors, numbers, units, high, low, sums, f_at, w_at, died):
        beta1, beta2, epsilon = numbers[0], numbers[1], numbers[2]
        T = boundaries[-1]
        raw = np.zeros(rows * width + 8)
        at = (8 - ((raw.ctypes.data >> 3) & 7)) & 7    # to 64 bytes, and width is a multiple of 8: every lane array is aligned
        block = raw[at:at + rows * width].reshape(rows, width)
        top, bottom, e, former = block[states], block[states + 1], block[states + 2], block[states + 3:]
        total = block[rows - 1]       # of noisy runs
        shift, share = 0.0, 1.0
        pixel = np.empty(width, np.int64)
        for row in range(constants.shape[0]):
            c = load_constants(constants[row])
            most = wide[row]
            for first in range(0, rates.shape[1], lanes):
                n, parked, t = min(lanes, rates.shape[1] - first), 0, 0
                for i in range(width):
                    for a in range(states):
                        block[a, i] = 0.0
                    block[0, i] = start
                    e[i] = rates[row, first + i] if i < n else 0.0
                    pixel[i] = first + i
                for b in range(boundaries.shape[0]):
                    end = boundaries[b]
                    for i in range(n):
                        top[i], bottom[i] = -np.inf, np.inf
                        if noisy:
                            total[i] = 0.0
                    while t < end:
                        left = end - t
                        if n == 0:       # whole cycles only, of all that is left
                            t += (left // chunk) * chunk
                            left = end - t
                        if left <= chunk:
                            for q in range(parked):
                                _copy(block, pixel, end_of_lanes - parked + q, n + q)
                            n += parked
                            parked = 0
                            if n == 0 or left == 0:
                                t = end
                                break
                        k = min(left, chunk)
                        if t == 0:
                            k = min(k, early)
                        elif t < chunk:
                            k = min(k, chunk - t)      # after the early check, back onto the grid of chunks
                        whole = (n + 7) & ~7
                        for a in range(states):
                            for i in range(whole):
                                former[a, i] = block[a, i]
                        for j in range(t, t + k):
                            factor, c1, c2 = factors[j, 0], factors[j, 1], factors[j, 2]
                            if noisy:
                                shift, share = factors[j, 3], factors[j, 4]
                            for i in range(whole):
                                f = step_lane(block, i, c, e[i] if recurs else e[i] * factor, c1, c2, beta1, beta2, epsilon,
                                              shift, share)
                                if noisy:
                                    total[i] += measure_excess(f, units[row])
                                a = top[i]
                                top[i] = f if f > a else a
                                a = bottom[i]
                                bottom[i] = f if f < a else a
                        t += k
                        i = 0
                        while i < n:
                            f, size, w = measure_lane(block, i, c)
                            if size <= BEYOND and abs(f) < np.inf and top[i] <= most and bottom[i] >= -most:
                                same = recurs and k == chunk and left > chunk
                                for a in range(compared):
                                    same = same and block[a, i] == former[a, i]
                                if not same:
                                    i += 1
                                    continue
                                parked += 1
                                _copy(block, pixel, i, end_of_lanes - parked)
                            else:
                                # take its last chunk again, alone, to count its steps
                                for a in range(states):
                                    block[a, scratch] = former[a, i]
                                when = t - k
                                while when < t:
                                    f, size, w = measure_lane(block, scratch, c)
                                    if not (size <= BEYOND and abs(f) < np.inf):
                                        break
                                    if noisy:
                                        shift, share = factors[when, 3], factors[when, 4]
                                    step_lane(block, scratch, c,
                                              e[i] if recurs else e[i] * factors[when, 0], factors[when, 1], factors[when, 2],
                                              beta1, beta2, epsilon, shift, share)
                                    when += 1
                                died[row, pixel[i]] = when
                            n -= 1
                            _copy(block, pixel, n, i)
                    for i in range(n):
                        f, size, w = measure_lane(block, i, c)
                        p = pixel[i]
                        high[b, row, p], low[b, row, p], f_at[b, row, p], w_at[b, row, p] = top[i], bottom[i], f, w
                        if noisy:
                            sums[b, row, p] = total[i]
                for i in range(n):
                    died[row, pixel[i]] = T + 1

    return compile_kernel(with_functions(train, functions, f"{name}.{optimizer}{recurs}{'n' * noisy}"))


@cache
def compile_recorder(name: str, functions: tuple[Any, ...], optimizer: int, parameters: int, start: float, recurs: int,
                     noisy: int = 0) -> Any:
    """Return the jitted ``record(constants, rate, factors, numbers, states, f)``: one pixel, with every state, in the same arithmetic.

    The arguments are those of `compile_trainer`. Of the returned function: `constants` (c,), `rate` scalar; `factors` (T, 3 or 5),
    `numbers` (3,) as there; written are `states` (T + 1, parameters), `f` (T + 1,), which from the first non-finite state on are what the
    arithmetic makes of them.
    """
    rows = parameters * (1 + {HEAVY_BALL: 1, ADAM: 2}.get(optimizer, 0))

    def record(constants, e, factors, numbers, states, f):
        c = load_constants(constants)
        block = np.zeros((rows, 1))
        block[0, 0] = start
        beta1, beta2, epsilon = numbers[0], numbers[1], numbers[2]
        shift, share = 0.0, 1.0
        for t in range(factors.shape[0] + 1):
            for a in range(parameters):
                states[t, a] = block[a, 0]
            if t == factors.shape[0]:
                f[t], _, _ = measure_lane(block, 0, c)
                break
            if noisy:
                shift, share = factors[t, 3], factors[t, 4]
            f[t] = step_lane(block, 0, c, e if recurs else e * factors[t, 0], factors[t, 1],
                             factors[t, 2], beta1, beta2, epsilon, shift, share)

    return compile_kernel(with_functions(record, functions, f"{name}.{optimizer}{recurs}{'n' * noisy}"))
