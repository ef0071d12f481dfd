"""Fit a power law of the loss over time, with or without a floor, to one training curve, whose steps are correlated.

A regression on all steps as if they were independent gives 95% intervals that cover 3-32%. Bins of log time even out the weights,
and the correlation between bins widens the interval.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import stdtrit

from validation.arguments import Misuse, choose, whole
from validation.fitting.brackets import SAME, pair
from validation.fitting.loss_floor import LEAST_BINS as FLOOR_BINS
from validation.fitting.loss_floor import Bins, FloorLaw, correlation_time
from validation.fitting.result import FitOutcome, PowerLawFit, build_undecided_fit

BINS_PER_DECADE = 5
LEAST_BINS = 4
BEND = 0.01         # a curve bends if a straight line is excluded at this level
DRIFT = 0.02        # and its local exponent moves by this much over the window
OVER: dict[str, Any] = {"axis": "time", "point": "bin"}


def fit_loss_slope(loss: Any, time: Any, window: tuple[float, float], method: str = "bins", draws: int = 2000,
                   seed: int = 0, floor: bool = False) -> PowerLawFit:
    """Fit ``loss = A time^b``, or ``loss = E + A time^b``, on a window of time.

    A curve that ends on a floor E is no power law, and a line through it has an exponent that depends on the window. Where the bins
    exclude a line at 1%, in favour of a floor or of a fall that gets ever faster, and its local exponent moves by 0.02 or more, the fit is
    UNDECIDED: its `exponent` is that of the line, its `reason` has the local exponents, its `floor_law` the law with a floor.

    Parameters
    ----------
    loss : shape (n,), above zero inside the window. A limit that is known is to be subtracted, an unknown one takes ``floor=True``.
    time : shape (n,), increasing; steps, or eta times steps.
    window : (low, high) in time; both ends belong to it. It should start after three correlation times of the noise.
    method : "bins": means of log10 loss in 5 bins a decade, the larger of the ordinary and the HC3 error (MacKinnon & White,
        J. Econometrics 29, 305, 1985), widened by ``sqrt((1 + r)/(1 - r))`` for the correlation r of neighbouring bins, and
        t(bins - 2). "bootstrap": the same bins, the interval by a moving-block bootstrap of the steps' residuals (Kuensch,
        Ann. Stat. 17, 1217, 1989), scaled by their trend in time, in blocks of four correlation times.
    draws, seed : of the bootstrap.
    floor : whether the law has a floor E >= 0. `exponent` is then that of the power law above it, `floor` and `floor_interval` are E and
        its 95% interval; intervals are those of the profile likelihood (see `validation.fitting.loss_floor`). It takes six bins.

    Returns
    -------
    PowerLawFit : time takes the place of gamma; `gamma`, `lower` and `upper` hold the bins (both bounds the bin's mean).
        UNDECIDED with fewer than four bins, where the curve bends, and where the loss ends or diverges inside the window.

    Raises
    ------
    Misuse : shapes that differ, NaN or a loss at or below zero inside the window, a time that does not increase, an empty
        or one-point window; a bootstrap with a floor.
    """
    choose("method", method, ("bins",) if floor else ("bins", "bootstrap"))
    whole("draws", draws, 100)
    time, loss = _curve(time, loss)
    low, high = pair("window", window)
    inside = (time >= low * (1 - SAME)) & (time <= high * (1 + SAME)) & (time > 0)
    if inside.sum() < 2:
        raise Misuse(f"window must hold at least two times; ({low:g}, {high:g}) holds {int(inside.sum())} of {time.size}, "
                     f"which lie between {time[0]:g} and {time[-1]:g}")
    time, loss = time[inside], loss[inside]
    span = (float(time[0]) if low == 0 else low, high if np.isfinite(high) else float(time[-1]))
    if np.isposinf(loss).any():
        return build_undecided_fit(f"the loss diverges at time {time[np.isposinf(loss)][0]:g}", edge="loss", window=span, **OVER)
    if np.isnan(loss).any():
        raise Misuse(f"loss must not be NaN inside the window, as it is at time {time[np.isnan(loss)][0]:g}")
    if (loss <= 0).any():
        raise Misuse(f"loss must be above zero inside the window, not {loss[loss <= 0][0]:g} at time {time[loss <= 0][0]:g}")

    x, y = np.log10(time), np.log10(loss)
    bin_of = np.floor((x - x[0]) * BINS_PER_DECADE + SAME).astype(int)
    # the last bin is often a sliver: it joins its neighbour
    last = bin_of[-1]
    if last > 0 and x[-1] - x[0] - last / BINS_PER_DECADE < 0.5 / BINS_PER_DECADE:
        bin_of[bin_of == last] = last - 1
    _, bin_of, count = np.unique(bin_of, return_inverse=True, return_counts=True)
    bx, by = np.bincount(bin_of, x) / count, np.bincount(bin_of, y) / count
    n = bx.size
    known: dict[str, Any] = {"edge": "loss", "window": span, "gamma": 10**bx, "lower": 10**by, "upper": 10**by, "n": n, **OVER}
    least = FLOOR_BINS if floor else LEAST_BINS
    if n < least:
        what = "a floor" if floor else "a slope"
        return build_undecided_fit(f"the window holds {n} bins of a fifth of a decade; {what} takes {least}", **known)
    dx = bx - bx.mean()
    sxx = float(dx @ dx)
    slope, level = float(dx @ by / sxx), float(by.mean())
    if floor and slope >= 0:
        return build_undecided_fit("the loss does not fall in the window, so that no law with a floor describes it", **known)
    law = FloorLaw(Bins(x, y, bin_of)) if n >= FLOOR_BINS and slope < 0 else None
    if floor and law is not None:
        return read_floor_law(law, f"{BINS_PER_DECADE} bins a decade, generalized least squares", known)
    if method == "bins":
        error = _bin_error(dx, by - level - slope * dx, sxx)
        t90, t95 = (float(stdtrit(n - 2, q)) for q in (0.95, 0.975))
        intervals = [(slope - t * error, slope + t * error) for t in (t90, t95)]
    else:
        weight = (dx / sxx / count)[bin_of]                       # the slope is sum(weight y)
        rest = y - level - slope * (x - bx.mean())
        size = np.sqrt(np.maximum(np.bincount(bin_of, rest**2) / count, 1e-300))
        trend = np.polyfit(bx, np.log10(size), 1, w=np.sqrt(count))       # noise may grow or fade with time
        size = 10 ** np.polyval(trend, bx)[bin_of]
        shifts = _block_shifts(weight * size, rest / size, draws, seed)
        # few blocks: normal tails are too thin
        wider = float(stdtrit(n - 2, 0.975)) / 1.959964
        intervals = [tuple(slope + wider * np.quantile(shifts, q)) for q in ((0.05, 0.95), (0.025, 0.975))]
    scatter = float(np.sqrt(np.sum((by - level - slope * dx)**2) / (n - 2)))
    with np.errstate(over="ignore"):
        prefactor = float(np.float64(10.0) ** (level - slope * bx.mean()))
    bend = "" if law is None else describe_bend(law)
    return PowerLawFit(exponent=slope, interval=_pair(intervals[1]), interval90=_pair(intervals[0]), prefactor=prefactor,
                       n_censored=0, outcome=FitOutcome.UNDECIDED if bend else FitOutcome.FITTED, reason=bend, scatter=scatter,
                       log10_centre=float(bx.mean()), log10_level=level, floor_law=law, method=f"{BINS_PER_DECADE} bins a decade, " + (
                           "HC3 and autocorrelation" if method == "bins" else "block bootstrap"), **known)


def read_floor_law(law: FloorLaw, method: str, known: dict[str, Any]) -> PowerLawFit:
    """Return a law with a floor as a fit."""
    with np.errstate(over="ignore"):
        prefactor = float(np.float64(10.0) ** (law.level - law.exponent * law.centre))
    return PowerLawFit(exponent=law.exponent, interval=law.interval(), interval90=law.interval(0.90), prefactor=prefactor, n_censored=0,
                       outcome=FitOutcome.FITTED, scatter=law.scatter, log10_centre=law.centre, log10_level=law.level, floor=law.floor,
                       floor_interval=law.floor_interval(), method=method, **known)


def describe_bend(law: FloorLaw) -> str:
    """Return why no power law alone fits the curve; empty if one does."""
    first, last = law.local
    if min(law.straight, law.down) >= BEND or abs(last - first) < DRIFT:
        return ""
    text = f"the curve bends: its local exponent goes from {first:.3g} to {last:.3g}"
    if law.down < law.straight:
        return f"{text}, which no floor explains; give a window in which it is straight"
    low, high = law.interval()
    return f"{text}; with a floor E = {law.floor:.3g} it is {law.exponent:.3g}, {low:.3g} to {high:.3g} (95%)"


def _pair(ends: Any) -> tuple[float, float]:
    return float(ends[0]), float(ends[1])


def _curve(time: Any, loss: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return both as float64 of one shape (n,); raise `Misuse` otherwise."""
    try:
        time, loss = np.asarray(time, dtype=np.float64), np.asarray(loss, dtype=np.float64)
    except (TypeError, ValueError):
        raise Misuse("loss and time must be numbers") from None
    if loss.ndim != 1 or loss.shape != time.shape or loss.size == 0:
        raise Misuse(f"loss and time must have one dimension and one length, not the shapes {loss.shape} and {time.shape}")
    if not (np.isfinite(time).all() and (np.diff(time) > 0).all() and time[0] >= 0):
        raise Misuse("time must be finite, not negative, and increase strictly")
    return time, loss


def _bin_error(dx: np.ndarray, rest: np.ndarray, sxx: float) -> float:
    """Return the slope's standard error: the larger of ordinary and HC3, widened for the bins' correlation."""
    n = dx.size
    leverage = 1 / n + dx**2 / sxx
    plain = float(rest @ rest) / (n - 2) / sxx
    hc3 = float(np.sum((dx * rest / (1 - leverage))**2)) / sxx**2
    r = float(rest[1:] @ rest[:-1]) / max(float(rest @ rest), 1e-300)
    r = r + (1 + 4 * r) / n                                           # its bias beside a fitted trend (Kendall 1954)
    r = float(np.clip(r, 0.0, 0.8))
    return float(np.sqrt(max(plain, hc3) * (1 + r) / (1 - r)))


def _block_shifts(weight: np.ndarray, rest: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Return how far ``sum(weight y)`` moves when blocks of residuals are drawn anew from anywhere, shape (draws,)."""
    n = rest.size
    rest = rest - rest.mean()
    length = int(np.clip(4 * correlation_time(rest), n ** (1 / 3), max(n / 8, 1)))
    # within a run of one weight a block contributes that weight times a difference of the cumulated residual
    ends = np.union1d(np.arange(0, n, length), np.flatnonzero(np.diff(weight)) + 1)
    cumulated = np.concatenate([[0.0], np.cumsum(np.concatenate([rest, rest]))])     # (2n + 1,), blocks may wrap around
    starts = np.random.default_rng(seed).integers(0, n, size=(draws, -(-n // length)))
    shifts = np.zeros(draws)
    for low, high in zip(ends, np.append(ends[1:], n), strict=True):
        block = low // length
        at = starts[:, block] + low - block * length
        shifts += weight[low] * (cumulated[at + high - low] - cumulated[at])
    return shifts
