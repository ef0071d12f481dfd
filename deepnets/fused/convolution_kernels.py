"""The kernels of CNNs: train runs for a chunk of steps, evaluate runs, and compute values at theta_0; see `convolution_layout`.

As of MLPs (`deepnets.fused.kernels`): a thread calls a kernel for every n-th run, whose numbers depend on that run alone. Activations are
stored times the multiplier of the layer that reads them, and the weights of theta_0 times the multiplier of their own.
"""

from __future__ import annotations

import numpy as np

from deepnets.fused.compilation import compile_kernel, part_of_kernel
from deepnets.fused.passes import (
    add_to,
    average_four,
    clear,
    combine,
    copy,
    decay,
    scale,
    scale_by,
    scale_on,
)
from deepnets.fused.products import multiply, multiply_two, transpose
from deepnets.fused.propagation import (
    NONE,
    ONE,
    SGD,
    count_hits,
    differentiate_entropy,
    differentiate_squares,
    is_beyond,
    is_constant,
    step_layer,
)
from deepnets.fused.units import LINEAR, RELU, activate, activate_pairs, pass_back

# Columns of the table `shape`. Of a layer: inputs of its product, the same padded; outputs, the same padded; leading dimensions of its
# outputs and of its inputs; the first number of its weights, and of its values at theta_0 of one sample; positions of an image (of dense
# layers 1)
ROWS, PADDED_ROWS, OUT, PADDED, LEAD, PATCH, WEIGHT, FROZEN, POSITIONS = range(9)
# of a convolution: its image, numbers of a position of its inputs, side of its kernel, the image of half the size, the margin of that
HEIGHT, WIDE, STRIDE, SIDE, HALF, HALF_WIDE, MARGIN = range(9, 16)
# places in a scratch: differences, activations, slopes of the units, the first two averaged over 2 x 2, slopes of these, patches of
# activations, transposed weights; and, of all layers together, patches of differences or of slopes, the gradient or the moved weights, sums
D, H, SLOPES, IMAGE_D, IMAGE_H, IMAGE_S, PATCHES, BACK, SPARE, GRADIENT, SUMS, COUNT = range(16, 28)
QUARTER = np.float32(0.25)


@part_of_kernel
def unfold(row, image_at, patches_at, n, stride):
    """Copy the patches of n images, with margins, into rows."""
    height, wide, side, ld = row[HEIGHT], row[WIDE], row[SIDE], row[PATCH]
    across = wide + side - 1
    for i in range(n):
        for y in range(height):
            for k in range(side):
                from_at = image_at + 4 * ((i * (height + side - 1) + y + k) * across * stride)
                to = patches_at + 4 * ((i * height + y) * wide * ld + k * side * stride)
                copy((to, from_at), (ld, stride), wide, side * stride, (ONE,))


@part_of_kernel
def fold(row, image_at, patches_at, n, stride):
    """Add the rows of patches to n images, with margins; the transpose of `unfold`."""
    height, wide, side, ld = row[HEIGHT], row[WIDE], row[SIDE], row[PATCH]
    across = wide + side - 1
    clear((image_at,), (stride,), n * (height + side - 1) * across, stride, (NONE,))
    for i in range(n):
        for y in range(height):
            for k in range(side):
                to = image_at + 4 * ((i * (height + side - 1) + y + k) * across * stride)
                add_to((to, patches_at + 4 * ((i * height + y) * wide * ld + k * side * stride)), (stride, ld), wide, side * stride, (ONE,))


@part_of_kernel
def average(row, from_at, to_at, n):
    """Average n images over 2 x 2 positions, into images with margins."""
    height, wide, ld, half, across, margin = row[HEIGHT], row[WIDE], row[LEAD], row[HALF], row[HALF_WIDE], row[MARGIN]
    for i in range(n):
        for y in range(half):
            a = from_at + 4 * ((i * height + 2 * y) * wide * ld)
            b = a + 4 * wide * ld
            to = to_at + 4 * (((i * (half + 2 * margin) + y + margin) * (across + 2 * margin) + margin) * ld)
            average_four((to, a, a + 4 * ld, b, b + 4 * ld), (ld, 2 * ld, 2 * ld, 2 * ld, 2 * ld), across, ld, (QUARTER,))


@part_of_kernel
def spread(row, from_at, to_at, activation_at, slopes_at, n, unit):
    """Write the slopes before the averages, and before the units; the transpose of `average`."""
    height, wide, ld, half, across, margin = row[HEIGHT], row[WIDE], row[LEAD], row[HALF], row[HALF_WIDE], row[MARGIN]
    if height > 2 * half or wide > 2 * across:      # the average ignores the last row or column of an odd size
        clear((to_at,), (ld,), n * height * wide, ld, (NONE,))
    for i in range(n):
        for y in range(half):
            source = from_at + 4 * (((i * (half + 2 * margin) + y + margin) * (across + 2 * margin) + margin) * ld)
            for down in range(2):
                for right in range(2):
                    by = 4 * (((i * height + 2 * y + down) * wide + right) * ld)
                    if unit == RELU:
                        scale_on((to_at + by, source, activation_at + by), (2 * ld, ld, 2 * ld), across, ld, (QUARTER,))
                    elif unit != LINEAR:
                        scale_by((to_at + by, source, slopes_at + by), (2 * ld, ld, 2 * ld), across, ld, (QUARTER,))
                    else:
                        scale((to_at + by, source), (2 * ld, ld), across, ld, (QUARTER,))


@part_of_kernel
def propagate_group(shape, count, m, w0_at, u_at, x_at, z0_at, samples, first, n, s_at, gamma, unit):
    """Compute differences and moved activations of n samples from the `first` on; the last differences are the output."""
    L, inverse = len(shape), ONE / gamma
    for l in range(L):
        row = shape[l]
        positions, ld, lda, k = row[POSITIONS], row[LEAD], row[PATCH], row[ROWS]
        d, h, u, w, M = s_at + 4 * row[D], s_at + 4 * row[H], u_at + 4 * row[WEIGHT], w0_at + 4 * row[WEIGHT], n * positions
        if l == 0:
            multiply(d, ld, x_at + 4 * first * positions * lda, lda, 1, u, ld, M, row[PADDED], k, ONE, False)
        else:
            before = shape[l - 1]
            if l < count:
                a, b = s_at + 4 * row[PATCHES], s_at + 4 * row[SPARE]
                unfold(row, s_at + 4 * before[IMAGE_H], a, n, before[LEAD])
                unfold(row, s_at + 4 * before[IMAGE_D], b, n, before[LEAD])
            elif l == count:
                a, b = s_at + 4 * before[IMAGE_H], s_at + 4 * before[IMAGE_D]
            else:
                a, b = s_at + 4 * before[H], s_at + 4 * before[D]
            multiply_two(d, ld, a, b, lda, u, w, M, row[PADDED], k, k)
        if l < L - 1:
            z0 = z0_at + 4 * (samples * row[FROZEN] + first * positions * ld)
            activate_pairs(unit, d, z0, h, s_at + 4 * row[SLOPES], ld, M, row[PADDED], (gamma, inverse, m[l + 1]))
        if l < count:
            average(row, d, s_at + 4 * row[IMAGE_D], n)
            average(row, h, s_at + 4 * row[IMAGE_H], n)


@part_of_kernel
def propagate_plainly(shape, count, w_at, hidden, x_at, z_at, samples, first, n, s_at, unit):
    """Compute values of a network with the weights w, before each unit into z: `hidden`, of all but the last; else those of the scratch."""
    L = len(shape)
    for l in range(L - 1 if hidden else L):
        row = shape[l]
        positions, ld, lda = row[POSITIONS], row[LEAD], row[PATCH]
        h, M = s_at + 4 * row[H], n * positions
        z = z_at + 4 * (samples * row[FROZEN] + first * positions * ld) if hidden else s_at + 4 * row[D]
        if l == 0:
            a = x_at + 4 * first * positions * lda
        elif l < count:
            a = s_at + 4 * row[PATCHES]
            unfold(row, s_at + 4 * shape[l - 1, IMAGE_H], a, n, shape[l - 1, LEAD])
        else:
            a = s_at + 4 * (shape[l - 1, IMAGE_H] if l == count else shape[l - 1, H])
        multiply(z, ld, a, lda, 1, w_at + 4 * row[WEIGHT], ld, M, row[PADDED], row[ROWS], ONE, False)
        if l < L - 1:
            activate(unit, h, z, ld, M, row[PADDED])
        if l < count:
            average(row, h, s_at + 4 * row[IMAGE_H], n)


@part_of_kernel
def turn_weights(shape, m, w0_at, u_at, s_at, gamma):
    """Write the moved weights of all layers but the first, transposed."""
    for l in range(1, len(shape)):
        row = shape[l]
        transpose(s_at + 4 * row[BACK], row[PATCH], w0_at + 4 * row[WEIGHT], u_at + 4 * row[WEIGHT], row[LEAD], row[PADDED_ROWS],
                  row[PADDED], gamma * m[l])


@part_of_kernel
def differentiate_group(shape, count, x_at, first, n, s_at, unit):
    """Add the gradient of n samples to that of the samples before; slopes stand in place of the output, and then of all differences."""
    for l in range(len(shape) - 1, -1, -1):
        row = shape[l]
        positions, ld, lda, M = row[POSITIONS], row[LEAD], row[PATCH], n * row[POSITIONS]
        slope = s_at + 4 * row[D]
        if l == 0:
            a = x_at + 4 * first * positions * lda
        elif l < count:
            a = s_at + 4 * row[PATCHES]
        else:
            a = s_at + 4 * (shape[l - 1, IMAGE_H] if l == count else shape[l - 1, H])
        multiply(s_at + 4 * (row[GRADIENT] + row[WEIGHT]), ld, a, 1, lda, slope, ld, row[ROWS], row[PADDED], M, ONE, first > 0)
        if l > 0:
            before, back = shape[l - 1], s_at + 4 * row[BACK]
            if l < count:
                spare, image = s_at + 4 * row[SPARE], s_at + 4 * before[IMAGE_S]
                multiply(spare, lda, slope, ld, 1, back, lda, M, row[ROWS], row[OUT], ONE, False)
                fold(row, image, spare, n, before[LEAD])
            elif l == count:
                image = s_at + 4 * before[IMAGE_S]
                multiply(image, lda, slope, ld, 1, back, lda, M, row[ROWS], row[OUT], ONE, False)
            else:
                image = s_at + 4 * before[D]
                multiply(image, lda, slope, ld, 1, back, lda, M, before[PADDED], row[OUT], ONE, False)
                pass_back(unit, image, s_at + 4 * before[H], s_at + 4 * before[SLOPES], lda, M, before[PADDED])
            if l <= count:
                spread(before, image, s_at + 4 * before[D], s_at + 4 * before[H], s_at + 4 * before[SLOPES], n, unit)


@part_of_kernel
def step_all(shape, m, w0_at, u_at, s_at, first, second, gamma, kind, base, rates, numbers, amount, to_origin):
    """Make one step of all layers along the gradient."""
    for l in range(len(shape)):
        row = shape[l]
        at, ld, n, out, rate = 4 * row[WEIGHT], row[LEAD], row[ROWS], row[PADDED], base * rates[l, 0]
        u, g = u_at + at, s_at + 4 * row[GRADIENT] + at
        if amount != 0:
            by = amount / gamma / (m[l] if l > 0 else ONE) if to_origin else NONE
            decay((u, w0_at + at), (ld, ld), n, out, (ONE - amount, by))
        if kind == SGD:
            combine((u, u, g), (ld, ld, ld), n, out, (-rate,))
        else:
            step_layer(kind, n, out, ld, u, g, first + at, second + at, rate, numbers)


@compile_kernel
def freeze(start, by, tables, x, z0, unit, s):
    """Compute values z_0 (T, ...) of the hidden layers at theta_0 for every `by`-th of the batches x (T, B, ...), from `start`."""
    shape, _, w0, group, count = tables
    B = x.shape[1]
    for t in range(start, len(x), by):
        for first in range(0, B, group):
            propagate_plainly(shape, count, w0.ctypes.data, True, x[t].ctypes.data, z0[t].ctypes.data, B, first, min(group, B - first),
                              s.ctypes.data, unit)


@compile_kernel
def train_runs(start, by, which, tables, x, z0, y, K, unit, entropy, kind, gamma, base, rates, numbers, amounts, factors, to_origin, u,
               first_moments, second_moments, checks, loss, last, s):
    """Train the runs ``which[start::by]`` on the batches x (T, B, ...); arguments and results as of `deepnets.fused.kernels.train_runs`."""
    shape, m, w0, group, count = tables
    L, T, B = len(shape), x.shape[0], x.shape[1]
    w0_at, s_at, ldf, out = w0.ctypes.data, s.ctypes.data, shape[L - 1, LEAD], shape[L - 1, D]
    f, sums = s[out:out + group * ldf].reshape(group, ldf), s[shape[0, SUMS]:shape[0, SUMS] + ldf]
    f_at, sums_at = s_at + 4 * out, s_at + 4 * shape[0, SUMS]
    for index in range(start, len(which), by):
        p = which[index]
        U = u[p].ctypes.data
        M1, M2 = first_moments[p % len(first_moments)].ctypes.data, second_moments[p % len(second_moments)].ctypes.data
        for t in range(T):
            turn_weights(shape, m, w0_at, U, s_at, gamma[p])
            total = 0.0
            for first in range(0, B, group):
                n = min(group, B - first)
                propagate_group(shape, count, m, w0_at, U, x[t].ctypes.data, z0[t].ctypes.data, B, first, n, s_at, gamma[p], unit)
                if entropy:
                    total += differentiate_entropy(f_at, f, y[t, first:first + n], n, K, B)
                else:
                    total += differentiate_squares(f_at, f, y[t, first:first + n].ctypes.data, sums_at, sums, n, K, B * K)
                differentiate_group(shape, count, x[t].ctypes.data, first, n, s_at, unit)
            loss[p, t] = total
            if checks and t == T - 1 and is_beyond(u[p], gamma[p]):
                loss[p, t] = np.nan
            if not np.isfinite(loss[p, t]) or t == last:
                break
            step_all(shape, m, w0_at, U, s_at, M1, M2, gamma[p], kind, base[p], rates[t], numbers[t], amounts[p] * factors[t], to_origin)


@compile_kernel
def evaluate_runs(start, by, which, tables, x, z0, y, labels, K, unit, entropy, gamma, u, loss, hits, dead, judges, s):
    """Evaluate the runs ``which[start::by]`` on samples; arguments and results as of `deepnets.fused.kernels.evaluate_runs`."""
    shape, m, w0, group, count = tables
    L, B = len(shape), x.shape[1]
    w0_at, s_at, ldf, out = w0.ctypes.data, s.ctypes.data, shape[L - 1, LEAD], shape[L - 1, D]
    f, sums = s[out:out + group * ldf].reshape(group, ldf), s[shape[0, SUMS]:shape[0, SUMS] + ldf]
    f_at, sums_at = s_at + 4 * out, s_at + 4 * shape[0, SUMS]
    moved_at = s_at + 4 * shape[0, GRADIENT]
    for index in range(start, len(which), by):
        p = which[index]
        U = u[p].ctypes.data
        total, right = 0.0, 0.0
        for part in range(len(x)):
            samples = B
            while labels[part, samples - 1] == -2:
                samples -= 1
            for first in range(0, samples, group):
                n = min(group, samples - first)
                propagate_group(shape, count, m, w0_at, U, x[part].ctypes.data, z0[part].ctypes.data, B, first, n, s_at, gamma[p],
                                unit)
                right += count_hits(f, labels[part, first:first + n], n, K)
                if entropy:
                    total += n * differentiate_entropy(f_at, f, y[part, first:first + n], n, K, n)
                else:
                    total += n * differentiate_squares(f_at, f, y[part, first:first + n].ctypes.data, sums_at, sums, n, K, n * K)
        loss[p], hits[p] = total, right
        dead[p] = judges
        if judges:
            for l in range(L):
                row = shape[l]
                at, ld = 4 * row[WEIGHT], row[LEAD]
                combine((moved_at + at, w0_at + at, U + at), (ld, ld, ld), row[ROWS], row[PADDED], (gamma[p] * m[l] if l else gamma[p],))
        part = 0
        while dead[p] and part < len(x):
            samples = B
            while labels[part, samples - 1] == -2:
                samples -= 1
            for first in range(0, samples, group):
                n = min(group, samples - first)
                propagate_plainly(shape, count, moved_at, False, x[part].ctypes.data, 0, B, first, n, s_at, unit)
                if part == 0 and first == 0:
                    for j in range(K):
                        sums[j] = f[0, j]
                if not is_constant(f, sums, n, K):
                    dead[p] = False
                    break
            part += 1
