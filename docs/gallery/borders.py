"""Measure how far a verdict is from the border at which it turns, in half-widths of its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy.stats import norm

from validation import Verdict
from validation.judging.rivals import MOST

# Half-widths. Runs on another processor round differently. With the oldest instructions that torch, MKL and numba take (ATEN_CPU_CAPABILITY
# "default", MKL_CBWR "COMPATIBLE", NUMBA_CPU_NAME "nehalem") in place of AVX-512, the ends of 25 of 101 intervals moved, of Figures 4, 5
# and 33 to 37, edges under momentum and super-consistency: 8 by more than 0.05 half-widths, the farthest by 0.44. No verdict turned.
NEAR = 0.5
INNER = float(norm.ppf(0.95) / norm.ppf(0.975))        # width of a normal 90% interval over that of the 95% one


class Border(NamedTuple):
    """The nearest border at which a verdict turns.

    `clearance` is the smallest move of the interval's ends that gives another verdict, over the half-width: infinite for an exact number
    and for an interval without ends, which no small move turns. `sides` are the two verdicts that meet there.
    """

    clearance: float = math.inf
    sides: tuple[str, str] = ("", "")


def find_border(verdict: str, measured: float, interval: Sequence[float], low: float, high: float) -> Border:
    """Return the border nearest to the verdict on a claimed range.

    Parameters
    ----------
    verdict : the one that the interval has: inside the range SUPPORTED, outside CONTRADICTED, else UNDECIDED.
    measured, interval : the number and its interval; one that is infinite on one side has the other side as its half-width.
    low, high : the claimed range.
    """
    left, right = interval
    inside = max(low - left, right - high)                  # the move that brings both ends inside; below 0 if they are
    outside = min(right - low, high - left)                 # the move that brings both ends out on one side; below 0 if they are
    return _relate(verdict, inside, outside, _half_width(measured, left, right))


def find_exponent_border(verdict: Verdict) -> Border:
    """Return the same for the verdict of `validation.judge` or `validation.judge_curve`.

    An exponent is SUPPORTED if its 90% interval lies within the tolerance, and the 95% one excludes the rivals. The verdict has the 95%
    interval alone; the 90% one is between that, where cells alone make it, and the normal one: the nearer border counts. A verdict with
    another reason, such as too few gammas or a bend, has an infinite clearance.
    """
    left, right = verdict.interval
    low, high = verdict.claimed - verdict.tolerance, verdict.claimed + verdict.tolerance
    outcome = str(verdict.outcome)
    if verdict.span is not None:                            # a whole curve
        return find_border(outcome, verdict.measured, verdict.interval, low, high)
    most = max(verdict.tolerance, MOST) if left <= verdict.claimed <= right else verdict.tolerance
    exclude = max((min(float(rival) - left, right - float(rival)) for rival in verdict.rivals), default=-math.inf)
    outside, half = min(right - low, high - left), _half_width(verdict.measured, left, right)
    borders = []
    for width in (INNER, 1.0):
        ends = [verdict.measured + width * (end - verdict.measured) for end in verdict.interval]
        within = max(abs(end - verdict.claimed) for end in ends) - most
        borders.append(_relate(outcome, max(within, exclude), outside, half))
    return min(borders)


def _half_width(measured: float, left: float, right: float) -> float:
    half = (right - left) / 2
    return half if math.isfinite(half) else min(measured - left, right - measured)


def _relate(verdict: str, inside: float, outside: float, half: float) -> Border:
    """Return the border, given the moves that would bring an interval inside of a range and out of it."""
    if not 0 < half < math.inf:
        return Border()
    if verdict == "UNDECIDED":
        move, other = min((inside, "SUPPORTED"), (outside, "CONTRADICTED"))
    else:
        move, other = -(outside if verdict == "CONTRADICTED" else inside), "UNDECIDED"
    # below 0, the verdict has another reason than the interval, such as too few gammas or a bend: no small move of the ends alters it
    return Border(move / half, (verdict, other)) if move >= 0 else Border()
