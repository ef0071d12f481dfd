"""Classify the runs: from the extremes of f to the excesses and the outcome of each pixel.

The losses are convex in f with their minimum at f = 1, so the largest excess over a stretch of steps is that of the largest or of the
smallest f of the stretch. Outcomes are coded as in `validation.outcome`.
"""

from __future__ import annotations

import math
import sys
from functools import cache
from typing import Any

from numba import njit

from toymodels.compilation import call_excess, compile_kernel
from toymodels.kernels import MSE
from toymodels.losses import CUMULANTS, P0, P1, CrossEntropy
from validation.outcome import Outcome

_AT_START = float(-P1 * -1.0 + math.log1p(P1 * math.expm1(-1.0)))     # l(0) - l(1) for cross-entropy
_LEAST = float(CrossEntropy().value(1.0))                             # l(1)
_C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9 = CUMULANTS
_P0, _P1 = float(P0), float(P1)

_LARGEST = sys.float_info.max

AMBIGUOUS = -128     # the excess may or may not have come near 0 between the extremes: the run is repeated step by step
_UNTRAINED, _PARTIAL, _CONVERGED = int(Outcome.UNTRAINED), int(Outcome.PARTIAL), int(Outcome.CONVERGED)
_CATAPULTED, _OSCILLATING = int(Outcome.CATAPULTED), int(Outcome.OSCILLATING)
_STUCK, _DIVERGED = int(Outcome.STUCK), int(Outcome.DIVERGED)


@njit(forceinline=True)
def evaluate_excess(loss, f, units):
    """Return ``(l(f) - l(1))/(l(0) - l(1))`` without cancellation or overflow (see losses.py)."""
    d = f - 1.0
    if loss == MSE:
        return d * d
    if f == 0.0:
        return 1.0
    if abs(d) < 0.03:
        above = d * d * (_C2 + d * (_C3 + d * (_C4 + d * (_C5 + d * (_C6 + d * (_C7 + d * (_C8 + d * _C9)))))))
    elif d > 0.0:
        above = _P0 * d + math.log1p(_P0 * math.expm1(-d))
    else:
        above = -_P1 * d + math.log1p(_P1 * math.expm1(d))
    return above / _AT_START


@njit(forceinline=True)
def _classify_bounded_run(loss, two, L, w, top, e_top, e_bottom, went_up):
    """Return stuck, oscillating or partial, for a bounded run that has left its start and not converged."""
    scale, floor = (0.5, 0.0) if loss == MSE else (_AT_START, _LEAST)
    most = max(e_top, e_bottom) * scale + floor
    least = min(e_top, e_bottom) * scale + floor
    if not two and L >= 3 and abs(w) < 0.5 and top < 1.0 and most - least < 1e-3 * least:
        return _STUCK
    return _OSCILLATING if went_up else _PARTIAL


@njit
def _excess_of(loss, address, f, units):
    """Return the excess of a built-in loss, or that of a loss of one's own, whose compiled function has this address."""
    if address != 0:
        return call_excess(address, f, units.ctypes.data)
    return evaluate_excess(loss, f, units)


@cache
def compile_summary() -> Any:
    """Return the jitted function that writes the portrait's variables for the horizon T of a block of pixels.

    Notes
    -----
    Arguments of the returned function:

    loss, L, two : code of the loss, depth, and 1 for the two-parameter model; 0, 0, 1 for a model of one's own.
    address : of the compiled excess of a loss of one's own, see `own_kernels.compile_excess`; 0 for a built-in loss.
    rho : the excess at which a run counts as converged.
    kernel_bound : a catapulted run has a kernel ratio below this (infinity: any).
    flow : (n,), w* or, with two parameters, u1^2 + u2^2 at the minimum that gradient flow reaches; of a model of one's own, K.
    units : (n, 2), for a loss of one's own: the distance from the start to the minimum, and the excess loss at the start.
    prior, tail, at : indices, among the boundaries, of the last time before the tail (-1: time 0), of the tail's first time, and of T.
        With the tail's first excess alone, a cycle of period two that enters the tail at its top and leaves it at its bottom would
        count as a loss that did not rise.
    T : the horizon.
    count : the number of times in the tail, where the tail excess is its mean; 0: it is its maximum.
    high, low, sums, f_at, w_at : (b, n, m), died (n, m): what the function of `training_kernels.compile_training` wrote.
    outcome, final, tail_excess, peak, steps, kernel_ratio, rose : (n, m), written.
    """

    def summarise(loss, L, two, address, rho, kernel_bound, flow, units, prior, tail, at, T, count, high, low, sums, f_at, w_at, died,
                  outcome, final, tail_excess, peak, steps, kernel_ratio, rose):
        band = min(rho, 0.05)
        for a in range(outcome.shape[0]):
            for i in range(outcome.shape[1]):
                if died[a, i] <= T:
                    outcome[a, i], steps[a, i] = _DIVERGED, died[a, i]
                    final[a, i], tail_excess[a, i], peak[a, i] = math.inf, math.inf, math.inf
                    kernel_ratio[a, i], rose[a, i] = math.nan, True
                    continue
                steps[a, i] = T
                f = f_at[at, a, i]
                top = bottom = f
                for b in range(tail + 1, at + 1):
                    top, bottom = max(top, high[b, a, i]), min(bottom, low[b, a, i])
                first = f_at[tail, a, i]
                most, least = top, bottom
                for b in range(tail + 1):
                    most, least = max(most, high[b, a, i]), min(least, low[b, a, i])
                e = _excess_of(loss, address, f, units[a])
                e_top = e if top == f else _excess_of(loss, address, top, units[a])
                e_bottom = e if bottom == f else (e_top if bottom == top else _excess_of(loss, address, bottom, units[a]))
                e_first = e_top if first == top else (e_bottom if first == bottom else _excess_of(loss, address, first, units[a]))
                e_most = e_top if most == top else _excess_of(loss, address, most, units[a])
                e_least = e_bottom if least == bottom else _excess_of(loss, address, least, units[a])
                worst = max(e_top, e_bottom)
                highest = max(1.0, e_most, e_least)
                e_prior = _excess_of(loss, address, f_at[prior, a, i], units[a]) if prior >= 0 else 1.0
                went_up = not (e_prior >= e_first and e_first >= worst and e <= min(e_top, e_bottom))
                if count > 0:
                    total = e
                    for b in range(tail + 1, at + 1):
                        total += sums[b, a, i]
                    worst = total / count
                w = w_at[at, a, i]
                ratio = w / flow[a]
                if not two:
                    square = ratio * ratio
                    ratio = 1.0
                    for _ in range(L - 1):
                        ratio = ratio * square
                # a bounded run whose loss overflows (L = 12, |w| = 1e20) is as large as a number can be, but has not diverged
                final[a, i], tail_excess[a, i], peak[a, i] = min(e, _LARGEST), min(worst, _LARGEST), min(highest, _LARGEST)
                kernel_ratio[a, i], rose[a, i] = ratio, went_up
                if worst <= rho:
                    code = _CATAPULTED if highest > 1.0 and ratio < kernel_bound else _CONVERGED
                elif highest <= 1.0 + band and e_most >= 1.0 - band:
                    code = _UNTRAINED if most <= 1.0 else AMBIGUOUS
                else:
                    code = _classify_bounded_run(loss, two, L, w, top, e_top, e_bottom, went_up)
                outcome[a, i] = code

    return compile_kernel(summarise)
