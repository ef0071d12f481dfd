"""Train the modes of a deep linear network in numba: every mode of a run at each step, and the sum of their losses.

The state is the increment of `toymodels.kernels`, ``w_k = 1 + gamma s_k u_k``, whose residual over the target is ``f_k/s_k - 1``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from toymodels.arithmetic import fma
from toymodels.compilation import compile_kernel
from toymodels.kernels import BEYOND, with_functions

LANES = 64


@cache
def compile_modes(L: int) -> Any:
    """Return the jitted ``train(gammas, rates, speeds, shares, boundaries, factors, high, low, at, states, died)``.

    Of the returned function: `gammas` (n, k) is gamma s_k, `rates` (n, m) eta/gamma**2, `speeds` (k,) the curvatures, `shares` (k,) of
    the first loss; `boundaries` (b,), increasing, > 0; `factors` (T,) of the schedule. Written: `high`, `low` (b, n, m), the extremes of
    the excess over the times from the former boundary (included) to this one (excluded); `at` (b, n, m), the excess at the boundary;
    `states` (b, n, m, k), u there; `died` (n, m), the first time at which a state was non-finite or beyond 1e30, T + 1 if never.
    """
    lanes = LANES

    def train(gammas, rates, speeds, shares, boundaries, factors, high, low, at, states, died):
        modes = speeds.shape[0]
        T = boundaries[-1]
        u = np.zeros((modes, lanes))
        excess, top, bottom = np.zeros(lanes), np.zeros(lanes), np.zeros(lanes)
        for row in range(gammas.shape[0]):
            for first in range(0, rates.shape[1], lanes):
                n = min(lanes, rates.shape[1] - first)
                u[:, :] = 0.0
                died[row, first:first + n] = T + 1
                t = 0
                for b in range(boundaries.shape[0]):
                    top[:], bottom[:] = -np.inf, np.inf
                    while t < boundaries[b]:
                        factor = factors[t]
                        excess[:] = 0.0
                        for k in range(modes):
                            g, speed, share = gammas[row, k], speeds[k] * factor, shares[k]
                            for i in range(n):
                                w = fma(g, u[k, i], 1.0)
                                powers, slope = 1.0, float(L)
                                for _ in range(L - 1):
                                    powers = fma(powers, w, 1.0)
                                    slope = slope * w
                                r = fma(u[k, i], powers, -1.0)
                                excess[i] = fma(share * r, r, excess[i])
                                u[k, i] = fma(-rates[row, first + i] * speed * r, slope, u[k, i])
                        for i in range(n):
                            top[i] = excess[i] if excess[i] > top[i] else top[i]
                            bottom[i] = excess[i] if excess[i] < bottom[i] else bottom[i]
                        t += 1
                        for k in range(modes):
                            for i in range(n):
                                size = abs(fma(gammas[row, k], u[k, i], 1.0))
                                if not size < BEYOND and died[row, first + i] > t:
                                    died[row, first + i] = t
                    excess[:] = 0.0
                    for k in range(modes):
                        for i in range(n):
                            w = fma(gammas[row, k], u[k, i], 1.0)
                            powers = 1.0
                            for _ in range(L - 1):
                                powers = fma(powers, w, 1.0)
                            r = fma(u[k, i], powers, -1.0)
                            excess[i] = fma(shares[k] * r, r, excess[i])
                            states[b, row, first + i, k] = u[k, i]
                    for i in range(n):
                        high[b, row, first + i], low[b, row, first + i], at[b, row, first + i] = top[i], bottom[i], excess[i]

    return compile_kernel(with_functions(train, (), f"modes{L}"))
