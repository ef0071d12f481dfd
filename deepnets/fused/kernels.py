"""The two compiled kernels: train runs for a chunk of steps, and evaluate runs on held-out samples.

A thread calls a kernel, which releases the GIL, for every n-th run. A run's numbers depend on that run alone: not on the other runs, on
how steps are cut into chunks, or on the number of threads.
"""

from __future__ import annotations

import numpy as np

from deepnets.fused.compilation import compile_kernel
from deepnets.fused.propagation import (
    count_hits,
    differentiate_entropy,
    differentiate_squares,
    is_beyond,
    is_constant,
    propagate,
    propagate_frozen,
    propagate_values,
    step_back,
)


@compile_kernel
def freeze(start, by, tables, x, z0, unit, s):
    """Compute values z_0 (T, ...) of the hidden layers at theta_0 for every `by`-th of the batches x (T, B, ld), from `start`."""
    shape, _, w0, _ = tables
    for t in range(start, len(x), by):
        propagate_frozen(shape, w0.ctypes.data, x[t].ctypes.data, x.shape[2], z0[t].ctypes.data, s.ctypes.data, x.shape[1], unit)


@compile_kernel
def train_runs(start, by, which, tables, x, z0, y, K, unit, entropy, kind, gamma, base, rates, numbers, amounts, factors, to_origin, u,
               first, second, checks, loss, last, s):
    """Train the runs ``which[start::by]`` on the batches x (T, B, ld); write losses (P, T), not finite from where a run diverges.

    rates (T, L, 2) of weights and biases times base (P,); numbers (T, 6) of the optimizer; amounts (P,) of weight decay times factors
    (T,); u, first, second (P, size) in place. checks: whether parameters are compared with the largest allowed at the chunk's last step.
    No step is taken after the loss of the batch `last`. s: scratch of one thread. tables: as of `Layout.tables`.
    """
    shape, m, w0, layer = tables
    L, T, B, ldx = len(shape), x.shape[0], x.shape[1], x.shape[2]
    acts, ldf = shape[L - 1, 5] + shape[L - 1, 3], shape[L - 1, 3]
    H = s.ctypes.data
    D, end = H + 4 * B * acts, 2 * B * acts
    F, S, W = D + 4 * B * (acts - ldf), H + 4 * end, H + 4 * (end + ldf)
    G, E = W + 4 * layer, W + 8 * layer
    f, sums = s[end - B * ldf:end].reshape(B, ldf), s[end:end + ldf]
    for index in range(start, len(which), by):
        p = which[index]
        U, M1, M2 = u[p].ctypes.data, first[p % len(first)].ctypes.data, second[p % len(second)].ctypes.data
        for t in range(T):
            propagate(shape, m, w0.ctypes.data, U, x[t].ctypes.data, ldx, z0[t].ctypes.data, H, D, E, B, gamma[p], unit)
            if entropy:
                loss[p, t] = differentiate_entropy(F, f, y[t], B, K, B)
            else:
                loss[p, t] = differentiate_squares(F, f, y[t].ctypes.data, S, sums, B, K, B * K)
            if checks and t == T - 1 and is_beyond(u[p], gamma[p]):
                loss[p, t] = np.nan
            if not np.isfinite(loss[p, t]) or t == last:
                break
            step_back(shape, m, w0.ctypes.data, U, x[t].ctypes.data, ldx, H, D, E, W, G, M1, M2, B, K, gamma[p], unit, kind, base[p],
                      rates[t], numbers[t], amounts[p] * factors[t], to_origin)


@compile_kernel
def evaluate_runs(start, by, which, tables, x, z0, y, labels, K, unit, entropy, gamma, u, loss, hits, dead, judges, s):
    """Evaluate the runs ``which[start::by]`` on parts of samples x (parts, B, ld), of which the last rows may be none.

    labels (parts, B), -1 where there is none and -2 in rows that are no samples. Writes the sum of losses, the count of samples whose
    largest output is their label (NaN where an output is not finite), and, with `judges`, whether the network's output is constant.
    """
    shape, m, w0, layer = tables
    L, B, ldx = len(shape), x.shape[1], x.shape[2]
    acts, ldf = shape[L - 1, 5] + shape[L - 1, 3], shape[L - 1, 3]
    H = s.ctypes.data
    D, end = H + 4 * B * acts, 2 * B * acts
    F, S, W = D + 4 * B * (acts - ldf), H + 4 * end, H + 4 * (end + ldf)
    E = W + 8 * layer
    f, sums = s[end - B * ldf:end].reshape(B, ldf), s[end:end + ldf]
    for index in range(start, len(which), by):
        p = which[index]
        U = u[p].ctypes.data
        total, right = 0.0, 0.0
        for part in range(len(x)):
            n = B
            while labels[part, n - 1] == -2:
                n -= 1
            propagate(shape, m, w0.ctypes.data, U, x[part].ctypes.data, ldx, z0[part].ctypes.data, H, D, E, B, gamma[p], unit)
            right += count_hits(f, labels[part], n, K)
            if entropy:
                total += n * differentiate_entropy(F, f, y[part], n, K, n)
            else:
                total += n * differentiate_squares(F, f, y[part].ctypes.data, S, sums, n, K, n * K)
        loss[p], hits[p] = total, right
        dead[p] = judges
        part = 0
        while dead[p] and part < len(x):
            n = B
            while labels[part, n - 1] == -2:
                n -= 1
            propagate_values(shape, m, w0.ctypes.data, U, x[part].ctypes.data, ldx, W, H, D, B, gamma[p], unit)
            if part == 0:
                for j in range(K):
                    sums[j] = f[0, j]
            dead[p] = is_constant(f, sums, n, K)
            part += 1
