"""Find the best learning rate in noisy losses of several seeds, some of which are missing or diverged.

A missing run reports nothing about its rate; a diverged one is worse than any number. Were the seeds that a rate has simply averaged, one
missing bad seed would make its rate the best: seeds and rates are fitted together instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import fdtri, stdtrit

from validation.arguments import Misuse, axis
from validation.fitting.vertex import Vertex, locate_vertex
from validation.outcome import Outcome

MISSING = (Outcome.UNRUN, Outcome.FAILED)      # outcomes that report nothing about the rate
CURVE = 6          # rates from which on a single curve shows its noise; of fewer it is taken to be none
ENOUGH = 4         # fourth differences, from which on those near the best rates count
STATUSES = {"finished": Outcome.CONVERGED, "unknown": Outcome.UNRUN}      # of runs that were read from elsewhere


class Optimum(NamedTuple):
    """The best eta, and the bracket (low, high) in which it lies; an end is NaN where the grid ended first."""

    eta_opt: float
    bracket: tuple[float, float]


class BestRate(NamedTuple):
    """An `Optimum` with the vertex of its parabola, None where the bracket is open or the vertex is not sure."""

    eta_opt: float
    bracket: tuple[float, float]
    vertex: Vertex | None


class RunNoise(NamedTuple):
    """The noise of one run: the variance of its log10 loss, and the degrees of freedom of that, 0 where no seeds were compared."""

    variance: float
    free: int


def optimum(eta: Any, loss: Any, status: Any = None) -> Optimum:
    """Return the eta of least loss with a bracket, from losses that may be noisy.

    log10 loss is the sum of a rate's and a seed's part; the rate of the least part is the best. The bracket reaches from the last eta
    below to the first above that are significantly worse than the best: with seeds, by a one-sided t test at 1% of log10 loss less the
    seeds' parts, whose variance is pooled over the better half of the rates; with one curve, by four times the noise that its fourth
    differences show (two for each of the two compared, and the best is the least of many). Without noise these are the best eta's
    neighbours. Inside the bracket a parabola in log10 gives eta.

    Parameters
    ----------
    eta : shape (n,), increasing.
    loss : shape (n,) or (seed, n), above zero. NaN: there is no such run, and its seed reports nothing there. Infinity: it diverged. A rate
        at which a seed diverged is worse than any other. Of a masked array, what is masked is missing.
    status : of the shape of `loss`, the outcome of each run: `Outcome`, its code or its name, or a status of `validation.read_runs`. The
        loss of a diverged run is then infinite, whatever it is, and a failed, unrun or unknown one is missing. A mask of bool: true where
        there is such a run. None: the losses alone count.

    Raises
    ------
    Misuse : shapes that do not fit, an eta axis that does not increase, losses at or below zero, none finite; rates that no chain of common
        seeds links, whose losses cannot be compared.

    Examples
    --------
    The second seed, whose losses are ten times larger, has no run at the last rate:

    >>> found = optimum([0.1, 0.2, 0.4, 0.8], [[4.0, 2.0, 1.0, 2.0], [40.0, 20.0, 10.0, np.nan]])
    >>> round(found.eta_opt, 2), found.bracket
    (0.4, (0.2, 0.8))
    """
    best = find_best_rate(eta, loss, status)
    return Optimum(best.eta_opt, best.bracket)


def measure_noise(losses: Iterable[np.ndarray]) -> RunNoise:
    """Return the noise of a run, pooled over the sizes of a table, from losses (seed, n) of each as of `optimum`.

    With seeds it is the residual of rates' and seeds' parts over the better half of each size's rates; otherwise the median of the fourth
    differences of all curves, which smooth curves hardly have, and the degrees of freedom are 0. A coarse grid's curve has them too, where
    it is steep or has a corner: the median of the half of the rates around the best one counts if it is smaller, and of enough.
    """
    squares, free, curves = 0.0, 0, []
    for loss in losses:
        usable = np.isfinite(loss).any(axis=0) & ~np.isposinf(loss).any(axis=0)
        y = np.log10(np.where(np.isfinite(loss), loss, np.nan))[:, usable]
        try:
            means = fit_additive_means(y) if usable.any() else np.empty(0)
        except Misuse:
            continue
        if len(loss) == 1:
            curves += [means] if means.size >= CURVE else []
        elif usable.any():
            more = _pool_spread(y, np.argsort(means, kind="stable"))
            squares, free = squares + more[0], free + more[1]
    if free:
        return RunNoise(squares / free, free)
    everywhere, near = (_take_fourth_differences(some) for some in (curves, map(_cut_around_best, curves)))
    medians = [float(np.median(part)) for part, least in ((everywhere, 1), (near, ENOUGH)) if part.size >= least]
    return RunNoise(min(medians, default=0.0) ** 2 / 0.6745**2 / 70, 0)


def _take_fourth_differences(curves: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0), *(np.abs(np.diff(curve, 4)) for curve in curves)])


def _cut_around_best(curve: np.ndarray) -> np.ndarray:
    """Return half of a curve, five points at least, around its least one."""
    size = max(5, -(-curve.size // 2))
    first = int(np.clip(np.argmin(curve) - size // 2, 0, curve.size - size))
    return curve[first:first + size]


def find_best_rate(eta: Any, loss: Any, status: Any = None, noise: RunNoise | None = None) -> BestRate:
    """Return the best rate with its bracket and its vertex (`validation.fitting.vertex`).

    Arguments and errors are those of `optimum`; `noise` is that of a table to which these runs belong. None: theirs.
    """
    eta = axis("eta", eta)
    loss = _read_losses(eta, loss, status)
    noise = measure_noise([loss]) if noise is None else noise
    present, worse = np.isfinite(loss), np.isposinf(loss).any(axis=0)
    usable = present.any(axis=0) & ~worse
    if not usable.any():
        raise Misuse("loss must be finite at one eta at least at which no seed diverged")
    x, y = np.log10(eta), np.where(present, np.log10(np.where(present, loss, 1.0)), np.nan)
    mean = np.full(eta.size, np.inf)                                     # (n,)
    mean[usable] = fit_additive_means(y[:, usable])
    best = int(np.argmin(mean))
    if noise.free or len(loss) > 1:
        apart, errors = _estimate_errors(y, usable, best, noise)
        worse |= usable & (mean - mean[best] > (float(stdtrit(noise.free, 0.99)) if noise.free else 1.0) * apart)
    else:
        one = float(np.sqrt(noise.variance))
        errors = np.full(eta.size, one)
        worse |= usable & (mean > mean[best] + 4 * one)
        worse[:best][mean[:best] == mean[best]] = False
    worse[best] = False
    below, above = np.flatnonzero(worse[:best]), np.flatnonzero(worse[best + 1:]) + best + 1
    first, last = (below[-1] if below.size else None), (above[0] if above.size else None)
    near = np.arange(0 if first is None else first, eta.size if last is None else last + 1)
    near = near[usable[near]]
    ends = np.nan if first is None else float(eta[first]), np.nan if last is None else float(eta[last])
    peak, vertex = locate_vertex(x, mean, errors, best, near)
    # beside a rate that diverged the curve is not seen on both sides; where no rate is worse, nothing is extrapolated
    both = first is not None and last is not None and bool(near[0] < best < near[-1])
    return BestRate(float(10**peak), ends, vertex if both else None)


def fit_additive_means(values: np.ndarray) -> np.ndarray:
    """Return each column's part of values (seed, n) that are the sum of a column's and a seed's part, (n,), by least squares.

    Without missing values (NaN) it is the mean over seeds. A missing one moves no column against another, where the sum holds.

    Raises
    ------
    Misuse : columns that no chain of common seeds links.
    """
    return fit_additive(values)[0]


def fit_additive(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each column's part of values (seed, n), (n,), and each seed's, (seed,), NaN without a value; see `fit_additive_means`."""
    present = np.isfinite(values)
    if present.all():
        columns = values.mean(axis=0)
        return columns, (values - columns).mean(axis=1)
    rows, columns = np.nonzero(present)
    reached = np.zeros(values.shape[1], bool)
    reached[0] = True
    for _ in range(len(values)):
        reached |= present[present[:, reached].any(axis=1)].any(axis=0)
    if not reached.all():
        raise Misuse("loss must link all rates by seeds that have runs at both of two rates: no seed at the rates no. "
                     f"{', '.join(str(i) for i in np.flatnonzero(reached))} has a run at the others")
    design = np.zeros((rows.size, values.shape[1] + len(values)))
    design[np.arange(rows.size), columns] = design[np.arange(rows.size), values.shape[1] + rows] = 1
    parts, *_ = np.linalg.lstsq(design, values[present], rcond=None)
    seeds = np.where(present.any(axis=1), parts[values.shape[1]:], np.nan)
    return parts[:values.shape[1]] + np.nanmean(seeds), seeds - np.nanmean(seeds)


def _read_losses(eta: np.ndarray, loss: Any, status: Any) -> np.ndarray:
    """Return losses (seed, n), NaN where missing and infinite where diverged."""
    try:
        loss = np.atleast_2d(np.ma.filled(np.ma.asarray(loss, dtype=np.float64), np.nan))
    except (TypeError, ValueError):
        raise Misuse("loss must be numbers") from None
    if loss.ndim != 2 or loss.shape[1] != eta.size:
        raise Misuse(f"loss must have the shape ({eta.size},) or (seed, {eta.size}), not {loss.shape}")
    if status is not None:
        codes = np.atleast_2d(np.asarray(status))
        if codes.shape != loss.shape:
            raise Misuse(f"status must have the shape of loss, {loss.shape}, not {codes.shape}")
        if codes.dtype == bool:
            loss = np.where(codes, loss, np.nan)
        else:
            outcomes = np.array([[_read_outcome(code) for code in row] for row in codes.tolist()])
            loss = np.where(np.isin(outcomes, MISSING), np.nan, np.where(outcomes == Outcome.DIVERGED, np.inf, loss))
    if (loss <= 0).any():
        raise Misuse("loss must be above zero (add what it converges to, or leave out what is exactly 0)")
    return loss


def _read_outcome(code: Any) -> Outcome:
    if isinstance(code, str) and code in STATUSES:
        return STATUSES[code]
    try:
        return next(o for o in Outcome if o.label == str(code).lower() or o == code)
    except StopIteration:
        raise Misuse(f"status must be outcomes, {', '.join(o.label for o in Outcome)}, or their codes, not {code!r}") from None


def _pool_spread(y: np.ndarray, order: np.ndarray) -> tuple[float, int]:
    """Return the sum of squares of the residuals of rates' and seeds' parts of y (seed, n), and its degrees of freedom.

    With few seeds the spread of one rate may be small by chance, and Student's t of so few is huge: the better half of the rates, which
    are first in `order`, is pooled.
    """
    part = y[:, order[:max(3, -(-order.size // 2))]]
    seen = np.isfinite(part)
    free = int(seen.sum()) - part.shape[1] - int(seen.any(axis=1).sum()) + 1
    if free < 1:
        return 0.0, 0
    try:
        columns, seeds = fit_additive(part)
    except Misuse:      # the better rates have no common seeds
        return 0.0, 0
    rest = np.where(seen, part - columns - np.where(np.isnan(seeds), 0.0, seeds)[:, None], 0.0)
    return float((rest**2).sum()), free


def _estimate_errors(y: np.ndarray, usable: np.ndarray, best: int, noise: RunNoise) -> tuple[np.ndarray, np.ndarray]:
    """Return the standard errors of each rate's mean less the best one's, and of each mean, (n,), from y (seed, n).

    A rate that spreads more than the pooled noise has its own error: in a difference always, in a mean where that is sure at 1%.
    """
    if not noise.free:
        return np.full(usable.size, np.inf), np.full(usable.size, np.inf)
    _, seeds = fit_additive(y[:, usable])
    count = np.isfinite(y).sum(axis=0)
    around = y - np.where(np.isnan(seeds), 0.0, seeds)[:, None]
    centre = np.nansum(around, axis=0) / np.maximum(count, 1)
    own2 = np.nansum((around - centre)**2, axis=0) / np.maximum(count - 1, 1)
    sure = own2 > noise.variance * fdtri(np.maximum(count - 1, 1), noise.free, 0.99)
    error2 = np.where(sure, own2, noise.variance) / np.maximum(count, 1)
    apart2 = np.maximum(own2, noise.variance) / np.maximum(count, 1) + noise.variance / count[best]
    return np.sqrt(apart2), np.sqrt(error2)
