"""Train rows of pixels of the plane in numba, a block of lanes at a time, with the steps of any model, which `kernels.py` compiles.

The state of `kernels.LANES` pixels fits into the L1 cache. Every `CHUNK` steps the lanes are checked: a diverged run is dropped, and a
state equal to that of `CHUNK` steps ago is in a cycle whose period divides `CHUNK`; its lane is parked for whole cycles, which changes no
bit of its result.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import njit

from toymodels import compilation
from toymodels.compilation import compile_kernel
from toymodels.kernels import BEYOND, LANES, WIDTH, list_rows

CHUNK = 60       # divisible by 1..6, 10, 12, 15, 20, 30, 60: the periods of the cycles that are recognised
EARLY = 12       # the first check comes sooner, since much of a plane diverges at once
# stepped lanes fill the block from the left, parked ones from the right; the eight between them let a loop take whole vectors, and a
# diverged run is stepped again in the last lane
END_OF_LANES, SCRATCH = LANES + 8, LANES + 15

call_steps: Any = compilation.call_steps      # without the argument that numba adds
_list_rows = njit(list_rows)


@njit
def _make_block(rows):
    """Return a block of zeros, aligned to 64 bytes; WIDTH is a multiple of 8, so that every lane's row is aligned, too."""
    raw = np.zeros(rows * WIDTH + 8)
    at = (8 - ((raw.ctypes.data >> 3) & 7)) & 7
    return raw[at:at + rows * WIDTH].reshape(rows, WIDTH)


@njit
def _copy(block, pixel, source, target):
    """Copy one lane, its state and its snapshot."""
    for a in range(block.shape[0]):
        block[a, target] = block[a, source]
    pixel[target] = pixel[source]


@cache
def compile_training() -> Any:
    """Return the jitted function that trains rows of pixels.

    Notes
    -----
    Arguments of the returned function:

    advance, survive : addresses of the model's loops, from `kernels.compile_loops`.
    states, compared : the numbers of states of a run, and of those which a run that recurs must have had before.
    start : of the first parameter; every other one starts at 0.
    recurs, noisy : as in `kernels.compile_loops`.
    constants (n, c), wide (n,), rates (n, m) : by row (see `kernels.list_constants`), and the rates (see `kernels.scale_rate`).
    boundaries : (b,), increasing, > 0, the times at which the runs are measured, the last one T.
    factors (T, 3 or 5), numbers (3,), units (n, 2) : as in `kernels.compile_loops`, `units` by row.
    high, low, sums : (b, n, m), written: the extremes of f, and of noisy runs the sum of the excess, over the times from the former
        boundary (included) to this one (excluded).
    f_at, w_at : (b, n, m), written: f, and w (two parameters: u1^2 + u2^2), at the boundary.
    died : (n, m), written: the first time at which the state was non-finite or beyond 1e30, T + 1 if never. What would be measured after
        a run has diverged is not written.
    """
    return compile_kernel(_train)


def _train(advance, survive, states, compared, start, recurs, noisy, constants, wide, rates, boundaries, factors, numbers, units,
           high, low, sums, f_at, w_at, died):
    T = boundaries[-1]
    top_row, bottom_row, former_row, total_row, rows = _list_rows(states, noisy)
    block = _make_block(rows)
    top, bottom, e, total = block[top_row], block[bottom_row], block[former_row - 1], block[total_row]
    former, measured = block[former_row:], block[rows - 3:]
    pixel = np.empty(WIDTH, np.int64)
    block_at, factors_at, numbers_at = block.ctypes.data, factors.ctypes.data, numbers.ctypes.data
    for row in range(constants.shape[0]):
        constants_at = constants[row].ctypes.data
        units_at = units[row].ctypes.data
        most = wide[row]
        for first in range(0, rates.shape[1], LANES):
            n, parked, t = min(LANES, rates.shape[1] - first), 0, 0
            for i in range(WIDTH):
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
                        t += (left // CHUNK) * CHUNK
                        left = end - t
                    if left <= CHUNK:
                        for q in range(parked):
                            _copy(block, pixel, END_OF_LANES - parked + q, n + q)
                        n += parked
                        parked = 0
                        if n == 0 or left == 0:
                            t = end
                            break
                    k = min(left, CHUNK)
                    if t == 0:
                        k = min(k, EARLY)
                    elif t < CHUNK:
                        k = min(k, CHUNK - t)      # after the early check, back onto the grid of chunks
                    t = call_steps(advance, block_at, constants_at, factors_at, numbers_at, units_at, (n + 7) & ~7, t, t + k)
                    i = 0
                    while i < n:
                        if measured[1, i] <= BEYOND and abs(measured[0, i]) < np.inf and top[i] <= most and bottom[i] >= -most:
                            same = recurs and k == CHUNK and left > CHUNK
                            for a in range(compared):
                                same = same and block[a, i] == former[a, i]
                            if not same:
                                i += 1
                                continue
                            parked += 1
                            _copy(block, pixel, i, END_OF_LANES - parked)
                        else:
                            # take its last chunk again, alone, to count its steps
                            for a in range(states):
                                block[a, SCRATCH] = former[a, i]
                            e[SCRATCH] = e[i]
                            died[row, pixel[i]] = call_steps(survive, block_at, constants_at, factors_at, numbers_at, units_at, SCRATCH,
                                                            t - k, t)
                        n -= 1
                        _copy(block, pixel, n, i)
                for i in range(n):
                    p = pixel[i]
                    high[b, row, p], low[b, row, p], f_at[b, row, p], w_at[b, row, p] = top[i], bottom[i], measured[0, i], measured[2, i]
                    if noisy:
                        sums[b, row, p] = total[i]
            for i in range(n):
                died[row, pixel[i]] = T + 1


@cache
def compile_recorder() -> Any:
    """Return the jitted function that trains one pixel and writes every state, in the same arithmetic.

    Its arguments are those of `compile_training`, of one pixel: `rate` is a number, `constants` (c,). Written are `written` (T + 1,
    parameters) and `f` (T + 1,), which from the first non-finite state on are what the arithmetic makes of them.
    """
    return compile_kernel(_record)


def _record(advance, states, start, noisy, constants, rate, factors, numbers, units, written, f):
    former_row, rows = _list_rows(states, noisy)[2], _list_rows(states, noisy)[4]
    block = _make_block(rows)
    block[0, 0] = start
    block[former_row - 1, 0] = rate
    measured = block[rows - 3]
    for t in range(-1, factors.shape[0]):
        call_steps(advance, block.ctypes.data, constants.ctypes.data, factors.ctypes.data, numbers.ctypes.data, units.ctypes.data, 8,
                  max(t, 0), t + 1)
        for a in range(written.shape[1]):
            written[t + 1, a] = block[a, 0]
        f[t + 1] = measured[0]
