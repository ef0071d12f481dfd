"""Measure how far a verdict is from the border at which it turns, in half-widths of its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.stats import norm

from validation import Verdict
from validation.judging.rivals import MOST

NEAR = 0.05        # half-widths: runs on another processor round differently, and move the ends of an interval by less
INNER = float(norm.ppf(0.95) / norm.ppf(0.975))        # width of a normal 90% interval over that of the 95% one


def measure_clearance(verdict: str, measured: float, interval: Sequence[float], low: float, high: float) -> float:
    """Return the smallest move of the ends of an interval that gives another verdict on a claimed range, over its half-width.

    Parameters
    ----------
    verdict : the one that the interval has: inside the range SUPPORTED, outside CONTRADICTED, else UNDECIDED.
    measured, interval : the number and its interval; one that is infinite on one side has the other side as its half-width.
    low, high : the claimed range.

    Returns
    -------
    The move in half-widths, infinite for an exact number and for an interval without ends: neither turns by a small move.
    """
    left, right = interval
    inside = max(low - left, right - high)                  # the move that brings both ends inside; below 0 if they are
    outside = min(right - low, high - left)                 # the move that brings both ends out on one side; below 0 if they are
    return _relate(verdict, inside, outside, _half_width(measured, left, right))


def measure_exponent_clearance(verdict: Verdict) -> float:
    """Return the same for the verdict of `validation.judge` or `validation.judge_curve`.

    An exponent is SUPPORTED if its 90% interval, here the normal one of the same half-width, lies within the tolerance, and the 95% one
    excludes the rivals. What the judge says of bends is left out.
    """
    left, right = verdict.interval
    low, high = verdict.claimed - verdict.tolerance, verdict.claimed + verdict.tolerance
    outcome = str(verdict.outcome)
    if verdict.span is not None:                            # a whole curve
        return measure_clearance(outcome, verdict.measured, verdict.interval, low, high)
    most = max(verdict.tolerance, MOST) if left <= verdict.claimed <= right else verdict.tolerance
    ends = [verdict.measured + INNER * (end - verdict.measured) for end in verdict.interval]
    within = max(abs(end - verdict.claimed) for end in ends) - most
    exclude = max((min(float(rival) - left, right - float(rival)) for rival in verdict.rivals), default=-math.inf)
    return _relate(outcome, max(within, exclude), min(right - low, high - left), _half_width(verdict.measured, left, right))


def _half_width(measured: float, left: float, right: float) -> float:
    half = (right - left) / 2
    return half if math.isfinite(half) else min(measured - left, right - measured)


def _relate(verdict: str, inside: float, outside: float, half: float) -> float:
    """Return the clearance, given the moves that would bring an interval inside of a range and out of it."""
    if not 0 < half < math.inf:
        return math.inf
    moves = {"SUPPORTED": -inside, "IDENTITY": -inside, "CONTRADICTED": -outside, "UNDECIDED": min(inside, outside)}
    return max(moves[verdict] / half, 0.0)
