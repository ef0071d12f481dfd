"""Find the best learning rate in noisy losses of several seeds, some of which are missing or diverged.

A missing run reports nothing about its rate; a diverged one is worse than any number. Were the seeds that a rate has simply averaged, one
missing bad seed would make its rate the best: seeds and rates are fitted together instead.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtrit

from validation.arguments import Misuse, axis
from validation.fitting.vertex import Vertex, locate_vertex
from validation.outcome import Outcome

MISSING = (Outcome.UNRUN, Outcome.FAILED)      # outcomes that report nothing about the rate
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


def find_best_rate(eta: Any, loss: Any, status: Any = None) -> BestRate:
    """Return the best rate with its bracket and its vertex (`validation.fitting.vertex`); arguments and errors as of `optimum`."""
    eta = axis("eta", eta)
    loss = _read_losses(eta, loss, status)
    present, worse = np.isfinite(loss), np.isposinf(loss).any(axis=0)
    usable = present.any(axis=0) & ~worse
    if not usable.any():
        raise Misuse("loss must be finite at one eta at least at which no seed diverged")
    x, y = np.log10(eta), np.where(present, np.log10(np.where(present, loss, 1.0)), np.nan)
    mean = np.full(eta.size, np.inf)                                     # (n,)
    mean[usable] = fit_additive_means(y[:, usable])
    best = int(np.argmin(mean))
    if len(loss) > 1:
        error, t, noise = _compare_with_best(y, mean, best, usable)
        worse |= usable & (mean - mean[best] > t * error)
    else:
        one = _estimate_noise(mean[usable])
        noise = np.full(eta.size, one)
        worse |= usable & (mean > mean[best] + 4 * one)
        worse[:best][mean[:best] == mean[best]] = False
    worse[best] = False
    below, above = np.flatnonzero(worse[:best]), np.flatnonzero(worse[best + 1:]) + best + 1
    first, last = (below[-1] if below.size else None), (above[0] if above.size else None)
    near = np.arange(0 if first is None else first, eta.size if last is None else last + 1)
    near = near[usable[near]]
    ends = np.nan if first is None else float(eta[first]), np.nan if last is None else float(eta[last])
    peak, vertex = locate_vertex(x, mean, noise, best, near)
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


def _compare_with_best(y: np.ndarray, mean: np.ndarray, best: int, usable: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Return, from y (seed, n) and their additive means, the standard error of each mean less the best one's (n,), t at 1%, and the
    standard error of each mean (n,).

    With few seeds the spread of one rate may be small by chance, and Student's t of so few is huge. The residuals of the better half of
    the rates are pooled; a rate that spreads more has its own.
    """
    order = np.flatnonzero(usable)[np.argsort(mean[usable], kind="stable")]
    better = order[:max(3, -(-order.size // 2))]
    part = y[:, better]
    seen = np.isfinite(part)
    free = int(seen.sum()) - better.size - int(seen.any(axis=1).sum()) + 1
    if free < 1:
        return np.full(usable.size, np.inf), 1.0, np.full(usable.size, np.inf)
    try:
        columns, seeds = fit_additive(part)
    except Misuse:      # the better rates have no common seeds
        return np.full(usable.size, np.inf), 1.0, np.full(usable.size, np.inf)
    rest = np.where(seen, part - columns - np.where(np.isnan(seeds), 0.0, seeds)[:, None], 0.0)
    pooled2 = float((rest**2).sum()) / free
    count = np.isfinite(y).sum(axis=0)
    around = y - np.where(np.isnan(seeds), 0.0, seeds)[:, None]
    centre = np.nansum(around, axis=0) / np.maximum(count, 1)
    own2 = np.nansum((around - centre)**2, axis=0) / np.maximum(count - 1, 1)
    spread2 = np.maximum(own2, pooled2)
    error2 = spread2 / np.maximum(count, 1)
    return np.sqrt(error2 + pooled2 / count[best]), float(stdtrit(free, 0.99)), np.sqrt(error2)


def _estimate_noise(y: np.ndarray) -> float:
    """Return the noise of one curve from its fourth differences, which a smooth curve hardly has."""
    if y.size < 6:
        return 0.0
    fourth = np.diff(y, 4)
    return float(np.median(np.abs(fourth)) / 0.6745 / np.sqrt(70))
