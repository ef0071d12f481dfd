"""Propagate differences through the layers of an MLP, and its slopes back, for one run and one batch: what the kernels are made of.

Arguments that end in an address are bytes; see `deepnets.fused.layout` for the table `shape` and for where the numbers lie. Activations are
stored times the multiplier m of the layer that reads them, and the weights of theta_0 times the multiplier of their own.
"""

from __future__ import annotations

import numpy as np

from deepnets.fused.compilation import part_of_kernel
from deepnets.fused.passes import (
    combine,
    decay,
    exponentiate,
    step_adam,
    step_lion,
    step_momentum,
    step_nesterov,
    step_sign,
    subtract,
)
from deepnets.fused.products import multiply, multiply_two, transpose
from deepnets.fused.units import activate, activate_pairs, pass_back

ONE, NONE, INFINITE, LEAST_EXPONENT = np.float32(1), np.float32(0), np.float32(np.inf), np.float32(-87)
SGD, SIGN, MOMENTUM, NESTEROV, ADAM, LION = range(6)      # kinds of steps


@part_of_kernel
def propagate(shape, m, w0_at, u_at, x_at, ldx, z0_at, h_at, d_at, slopes_at, B, gamma, unit):
    """Compute differences d of every layer, after its unit, and moved activations h; the last d is the output."""
    L, inverse = len(shape), ONE / gamma
    a, lda = x_at, ldx
    for l in range(L):
        rows, k, out, ld, off, act = shape[l]
        d, h = d_at + 4 * B * act, h_at + 4 * B * act
        if l == 0:
            multiply(d, ld, a, lda, 1, u_at + 4 * off, ld, B, out, k, ONE, False)
        else:
            multiply_two(d, ld, a, d_at + 4 * B * shape[l - 1, 5], lda, u_at + 4 * off, w0_at + 4 * off, B, out, k, rows)
        if l < L - 1:
            activate_pairs(unit, d, z0_at + 4 * B * act, h, slopes_at + 4 * B * act, ld, B, out, (gamma, inverse, m[l + 1]))
        a, lda = h, ld


@part_of_kernel
def propagate_frozen(shape, w0_at, x_at, ldx, z0_at, h_at, B, unit):
    """Compute values z_0 of every hidden layer before its unit, at theta_0."""
    a, lda = x_at, ldx
    for l in range(len(shape) - 1):
        _, k, out, ld, off, act = shape[l]
        z, h = z0_at + 4 * B * act, h_at + 4 * B * act
        multiply(z, ld, a, lda, 1, w0_at + 4 * off, ld, B, out, k, ONE, False)
        activate(unit, h, z, ld, B, out)
        a, lda = h, ld


@part_of_kernel
def propagate_values(shape, m, w0_at, u_at, x_at, ldx, w_at, h_at, d_at, B, gamma, unit):
    """Compute values of the moved network itself, ``f(theta_0 + gamma u)``, in the place of d; the last one is its output."""
    L, a, lda = len(shape), x_at, ldx
    for l in range(L):
        rows, k, out, ld, off, act = shape[l]
        w, u, d, h = w0_at + 4 * off, u_at + 4 * off, d_at + 4 * B * act, h_at + 4 * B * act
        combine((w_at, w, u), (ld, ld, ld), rows, out, (gamma * m[l] if l > 0 else gamma,))
        if k > rows:
            last = 4 * (k - 1) * ld
            combine((w_at + last, w + last, u + last), (ld, ld, ld), 1, out, (gamma,))
        multiply(d, ld, a, lda, 1, w_at, ld, B, out, rows, ONE, False)
        if k > rows:
            multiply(d, ld, a + 4 * (k - 1), lda, 1, w_at + 4 * (k - 1) * ld, ld, B, out, 1, ONE, True)
        if l < L - 1:
            activate(unit, h, d, ld, B, out)
        a, lda = h, ld


@part_of_kernel
def step_layer(kind, n, out, ld, u, g, first, second, rate, numbers):
    """Make one step of n rows of a layer, in place: `numbers` are those of the pass, after its rate."""
    if kind == SIGN:
        step_sign((u, g), (ld, ld), n, out, (rate,))
    elif kind == MOMENTUM:
        step_momentum((u, g, first), (ld, ld, ld), n, out, (rate, numbers[0]))
    elif kind == NESTEROV:
        step_nesterov((u, g, first), (ld, ld, ld), n, out, (rate, numbers[0]))
    elif kind == ADAM:
        step_adam((u, g, first, second), (ld, ld, ld, ld), n, out,
                  (rate, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]))
    elif kind == LION:
        step_lion((u, g, first), (ld, ld, ld), n, out, (rate, numbers[0], numbers[1]))


@part_of_kernel
def step_back(shape, m, w0_at, u_at, x_at, ldx, h_at, d_at, slopes_at, w_at, g_at, first, second, B, K, gamma, unit, kind, base, rates,
              numbers, amount, to_origin):
    """Make one step of all layers, last first, along the gradients; slopes stand in place of the output, and then of all d."""
    L = len(shape)
    for l in range(L - 1, -1, -1):
        rows, k, out, ld, off, act = shape[l]
        slope, a, lda, u, w = d_at + 4 * B * act, x_at, ldx, u_at + 4 * off, w0_at + 4 * off
        if l > 0:
            wide, lda, before = shape[l - 1, 2], shape[l - 1, 3], 4 * B * shape[l - 1, 5]
            a = h_at + before
            transpose(w_at, lda, w, u, ld, wide, out, gamma * m[l])
            multiply(d_at + before, lda, slope, ld, 1, w_at, lda, B, wide, K if l == L - 1 else shape[l + 1, 0], ONE, False)
            pass_back(unit, d_at + before, a, slopes_at + before, lda, B, wide)
        for part in range(2 if k > rows else 1):                      # weights, then biases
            first_row, n = (0, rows) if part == 0 else (k - 1, 1)
            at, rate = 4 * first_row * ld, base * rates[l, part]
            if amount != 0:
                by = amount / gamma / (m[l] if l > 0 and part == 0 else ONE) if to_origin else NONE
                decay((u + at, w + at), (ld, ld), n, out, (ONE - amount, by))
            if kind == SGD:
                multiply(u + at, ld, a + 4 * first_row, 1, lda, slope, ld, n, out, B, -rate, True)
            else:
                multiply(g_at, ld, a + 4 * first_row, 1, lda, slope, ld, n, out, B, ONE, False)
                moment = 4 * off + at
                step_layer(kind, n, out, ld, u + at, g_at, first + moment, second + moment, rate, numbers)


@part_of_kernel
def differentiate_squares(f_at, f, y_at, sums_at, sums, B, K, entries):
    """Return half the squared errors' mean over `entries` numbers; f (B, padded) becomes its slope."""
    subtract(f_at, y_at, sums_at, f.shape[1], B, ONE / np.float32(entries))
    total = 0.0
    for j in range(len(sums)):
        total += sums[j]
    return total / 2 / entries


@part_of_kernel
def differentiate_entropy(f_at, f, y, B, K, samples):
    """Return the cross-entropy's mean over `samples`; f (B, padded) becomes its slope, 0 beyond K. y are rows of probabilities."""
    total, ld = 0.0, f.shape[1]
    for i in range(B):
        top, linear = f[i, 0], NONE
        for j in range(1, K):
            top = top if f[i, j] <= top else f[i, j]      # what is not a number comes through
        for j in range(K):
            f[i, j] -= top
            if y[i, j] != 0:
                linear += y[i, j] * f[i, j]
        for j in range(K, ld):
            f[i, j] = LEAST_EXPONENT
        total -= linear
    exponentiate((f_at,), (ld,), B, ld, (ONE,))
    for i in range(B):
        mass = NONE
        for j in range(K):
            mass += f[i, j]
        total += np.log(np.float64(mass))
        for j in range(K):
            f[i, j] = (f[i, j] / mass - y[i, j]) / np.float32(samples)
        for j in range(K, ld):
            f[i, j] = NONE
    return total / samples


@part_of_kernel
def is_beyond(u, gamma):
    """Return whether a parameter (size,) is not finite, or beyond 1e30 in theta."""
    far, beyond = 1e30 / np.float64(gamma), 0
    for i in range(len(u)):
        beyond += not abs(u[i]) <= far
    return beyond > 0


@part_of_kernel
def count_hits(f, labels, B, K):
    """Return for how many of the outputs f (B, ...) the largest is that of the label; NaN where an output is not finite."""
    right = 0.0
    for i in range(B):
        best = 0
        for j in range(K):
            if not np.isfinite(f[i, j]):
                right = np.nan
            elif f[i, j] > f[i, best]:
                best = j
        right += labels[i] == best
    return right


@part_of_kernel
def is_constant(f, first, B, K):
    """Return whether the outputs f (B, ...) equal the first up to 1e-6 of the largest, as `deepnets.held_out.HeldOut` decides."""
    largest = apart = NONE
    for i in range(B):
        for j in range(K):
            size, distance = abs(f[i, j]), abs(f[i, j] - first[j])
            if not size < INFINITE:
                return False
            if size > largest:
                largest = size
            if distance > apart:
                apart = distance
    return apart <= np.float32(1e-6) * largest
