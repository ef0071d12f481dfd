"""Train the toy models in numba: many learning rates of one gamma side by side, a row of pixels of the plane at a time.

The state of `LANES` pixels fits into the L1 cache. Every pass takes one step of all of them, and LLVM vectorises the inner loop. No loss
is evaluated in the loop: the losses are convex in f, so peak and tail excess follow from the extremes of f over stretches of steps. Every
`CHUNK` steps the lanes are checked: a diverged run is dropped, and a state equal to that of `CHUNK` steps ago is in a cycle whose period
divides `CHUNK`; its lane is parked for whole cycles, which changes no bit of its result.

The state is the increment, ``w = 1 + gamma u`` and ``f = u (1 + w + ... + w**(L-1))``, because w itself would lose the signal near
gamma = 1e-11. With two parameters it is u1, u2. The kernels are closures over integers alone, so that numba can cache their machine code
on disk; the functions that they inline are at the top of the module.
"""

from __future__ import annotations

from functools import cache
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
def _copy(block, pixel, source, target):
    """Copy one lane, its state and its snapshot."""
    for a in range(block.shape[0]):
        block[a, target] = block[a, source]
    pixel[target] = pixel[source]


@cache
def compile_trainer(L: int, loss: int, optimizer: int, two: int, recurs: int) -> Any:
    """Return the jitted ``train(gamma, rates, boundaries, factors, numbers, high, low, f_at, w_at, died)``.

    Parameters
    ----------
    L : depth (2 for the two-parameter model).
    loss : `MSE` or `CROSS_ENTROPY`.
    optimizer : `SGD`, `SIGNSGD`, `HEAVY_BALL` or `ADAM`.
    two : 1 for the two-parameter model, else 0.
    recurs : 1 if a state that recurs once recurs for ever; 0 for Adam and for schedules, whose steps depend on the time.

    Notes
    -----
    Of the returned function: `gamma` (n,) and `rates` (n, m) say what to train (see `scale_rate`); `boundaries` (b,), increasing, > 0,
    the times at which the runs are measured, the last one T; `factors` (T, 3) the schedule's factor and Adam's two bias corrections;
    `numbers` (3,) beta or beta1, beta2, epsilon. Written: `high`, `low` (b, n, m), the extremes of f over the times from the
    former boundary (included) to this one (excluded); `f_at`, `w_at` (b, n, m), f, and w (two parameters: u1^2 + u2^2), at the
    boundary; `died` (n, m), the first time at which the state was non-finite or beyond 1e30, T + 1 if never. What would be measured
    after a run has diverged is not written.
    """
    momenta = 1 if optimizer in (HEAVY_BALL, ADAM) else 0
    adam = 1 if optimizer == ADAM else 0
    lanes, chunk, early = LANES, CHUNK, EARLY
    # stepped lanes fill the block from the left, parked ones from the right; the eight between them let the loop take whole vectors
    width = LANES + 8

    @compile_kernel
    def train(gamma, rates, boundaries, factors, numbers, high, low, f_at, w_at, died):
        beta1, beta2, epsilon = numbers[0], numbers[1], numbers[2]
        T = boundaries[-1]
        raw = np.zeros(15 * width + 8)
        at = (8 - ((raw.ctypes.data >> 3) & 7)) & 7    # to 64 bytes, and width is a multiple of 8: every lane array is aligned
        block = raw[at:at + 15 * width].reshape(15, width)
        u, v, mu, mv, su, sv = block[0], block[1], block[2], block[3], block[4], block[5]
        top, bottom, e = block[6], block[7], block[8]
        u0, v0, mu0, mv0, su0, sv0 = block[9], block[10], block[11], block[12], block[13], block[14]
        pixel = np.empty(width, np.int64)
        for row in range(gamma.shape[0]):
            g = 2.0 / gamma[row] if two else gamma[row]
            wide = np.inf
            if not two:      # a |w| > 1e30 that has come back within a chunk still shows in the extremes of f
                exponent = 30.0 * L - np.log10(gamma[row])
                wide = 10.0 ** exponent if exponent < 308.0 else np.inf
            for first in range(0, rates.shape[1], lanes):
                n, parked, t = min(lanes, rates.shape[1] - first), 0, 0
                for i in range(width):
                    u[i], v[i] = (1.0 if two else 0.0), 0.0
                    mu[i], mv[i], su[i], sv[i] = 0.0, 0.0, 0.0, 0.0
                    e[i] = rates[row, first + i] if i < n else 0.0
                    pixel[i] = first + i
                for b in range(boundaries.shape[0]):
                    end = boundaries[b]
                    for i in range(n):
                        top[i], bottom[i] = -np.inf, np.inf
                    while t < end:
                        left = end - t
                        if n == 0:       # whole cycles only, of all that is left
                            t += (left // chunk) * chunk
                            left = end - t
                        if left <= chunk:
                            for q in range(parked):
                                _copy(block, pixel, width - parked + q, n + q)
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
                        for i in range(whole):
                            u0[i] = u[i]
                            if two:
                                v0[i] = v[i]
                            if momenta:
                                mu0[i] = mu[i]
                                if two:
                                    mv0[i] = mv[i]
                            if adam:
                                su0[i] = su[i]
                                if two:
                                    sv0[i] = sv[i]
                        for j in range(t, t + k):
                            c, c1, c2 = factors[j, 0], factors[j, 1], factors[j, 2]
                            for i in range(whole):
                                ui, vi = u[i], v[i] if two else 0.0
                                f, du, dv = _output(L, two, ui, vi, g)
                                a = top[i]
                                top[i] = f if f > a else a
                                a = bottom[i]
                                bottom[i] = f if f < a else a
                                slope = _slope(loss, f)
                                ei = e[i] if recurs else e[i] * c
                                ui, m, s = _move(optimizer, ui, mu[i] if momenta else 0.0, su[i] if adam else 0.0,
                                                 slope * du, ei, c1, c2, beta1, beta2, epsilon)
                                u[i] = ui
                                if momenta:
                                    mu[i] = m
                                if adam:
                                    su[i] = s
                                if two:
                                    vi, m, s = _move(optimizer, vi, mv[i] if momenta else 0.0, sv[i] if adam else 0.0,
                                                     slope * dv, ei, c1, c2, beta1, beta2, epsilon)
                                    v[i] = vi
                                    if momenta:
                                        mv[i] = m
                                    if adam:
                                        sv[i] = s
                        t += k
                        i = 0
                        while i < n:
                            f, du, dv = _output(L, two, u[i], v[i], g)
                            size = max(abs(u[i]), abs(v[i])) if two else abs(fma(g, u[i], 1.0))
                            if size <= BEYOND and abs(f) < np.inf and top[i] <= wide and bottom[i] >= -wide:
                                same = recurs and k == chunk and left > chunk and u[i] == u0[i]
                                if two:
                                    same = same and v[i] == v0[i]
                                if momenta:
                                    same = same and mu[i] == mu0[i]
                                    if two:
                                        same = same and mv[i] == mv0[i]
                                if not same:
                                    i += 1
                                    continue
                                parked += 1
                                _copy(block, pixel, i, width - parked)
                            else:
                                # take its last chunk again, alone, to count its steps
                                ui, vi, m1, m2, s1, s2 = u0[i], v0[i] if two else 0.0, mu0[i], mv0[i], su0[i], sv0[i]
                                when = t - k
                                while when < t:
                                    f, du, dv = _output(L, two, ui, vi, g)
                                    size = max(abs(ui), abs(vi)) if two else abs(fma(g, ui, 1.0))
                                    if not (size <= BEYOND and abs(f) < np.inf):
                                        break
                                    slope = _slope(loss, f)
                                    ei = e[i] if recurs else e[i] * factors[when, 0]
                                    c1, c2 = factors[when, 1], factors[when, 2]
                                    ui, m1, s1 = _move(optimizer, ui, m1, s1, slope * du, ei, c1, c2,
                                                       beta1, beta2, epsilon)
                                    if two:
                                        vi, m2, s2 = _move(optimizer, vi, m2, s2, slope * dv, ei, c1, c2,
                                                           beta1, beta2, epsilon)
                                    when += 1
                                died[row, pixel[i]] = when
                            n -= 1
                            _copy(block, pixel, n, i)
                    for i in range(n):
                        f, du, dv = _output(L, two, u[i], v[i] if two else 0.0, g)
                        p = pixel[i]
                        high[b, row, p], low[b, row, p], f_at[b, row, p] = top[i], bottom[i], f
                        w_at[b, row, p] = u[i] * u[i] + v[i] * v[i] if two else fma(g, u[i], 1.0)
                for i in range(n):
                    died[row, pixel[i]] = T + 1

    return train


@cache
def compile_recorder(L: int, loss: int, optimizer: int, two: int, recurs: int) -> Any:
    """Return the jitted ``record(gamma, rate, factors, numbers, u, v, f)``: one pixel, with every state, in the same arithmetic.

    The integers are those of `compile_trainer`. Of the returned function: `gamma`, `rate` scalars; `factors` (T, 3), `numbers` (3,) as
    there; written are `u`, `v`, `f` (T + 1,); states from the first non-finite one on are what the arithmetic makes of them.
    """

    @compile_kernel
    def record(gamma, e, factors, numbers, u, v, f):
        g = 2.0 / gamma if two else gamma
        ui, vi, m1, m2, s1, s2 = (1.0 if two else 0.0), 0.0, 0.0, 0.0, 0.0, 0.0
        beta1, beta2, epsilon = numbers[0], numbers[1], numbers[2]
        for t in range(factors.shape[0] + 1):
            ft, du, dv = _output(L, two, ui, vi, g)
            u[t], v[t], f[t] = ui, vi, ft
            if t == factors.shape[0]:
                break
            slope = _slope(loss, ft)
            ei = e if recurs else e * factors[t, 0]
            c1, c2 = factors[t, 1], factors[t, 2]
            ui, m1, s1 = _move(optimizer, ui, m1, s1, slope * du, ei, c1, c2, beta1, beta2, epsilon)
            if two:
                vi, m2, s2 = _move(optimizer, vi, m2, s2, slope * dv, ei, c1, c2, beta1, beta2, epsilon)

    return record
