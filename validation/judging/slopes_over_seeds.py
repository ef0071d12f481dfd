"""Judge whether a quantity depends on a size, from one slope for each seed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from validation.arguments import Misuse, axis, between, numbers
from validation.fitting.result import FitOutcome, PowerLawFit, build_undecided_fit
from validation.judging.verdict import LEAST_GAMMAS, Verdict, judge


def judge_flat(sizes: ArrayLike, values: ArrayLike, tolerance: float = 0.15, quantity: str = "the quantity", size: str = "width",
               base: float = 10.0, off: ArrayLike = 0.0, missing: str = "it was not found") -> Verdict:
    """Judge whether a quantity is independent of a size, by the rules of `validation.judge`, as in a coordinate check of your own.

    Every seed has one least-squares slope of log10 value on log size; the interval of their mean is Student's, as the networks and
    streams of the seeds are independent.

    Parameters
    ----------
    sizes : (n,), > 0, increasing, at least four: widths, depths, batch sizes.
    values : (seed, n), > 0, of at least two seeds: such as the root mean square change of an activation. With a value that is zero or not
        finite the verdict is UNDECIDED.
    tolerance : the slope that still counts as none.
    quantity, size : names, for the sentence.
    base : of the logarithm of the sizes: 10, or 2 for decades a doubling.
    off : broadcast to (seed, n), decades by which a value may be off either way (a bracket's half-width): the interval is widened by
        the largest change of the slope that this allows.
    missing : why a value is missing, for the sentence.

    Raises
    ------
    Misuse : sizes that do not increase, or fewer than four; values of another shape, or of one seed; a tolerance not above zero.

    Examples
    --------
    The change of a hidden layer in a few steps, at four widths with two seeds; under muP it should not depend on the width:

    >>> verdict = judge_flat([64, 128, 256, 512], [[0.31, 0.30, 0.31, 0.30], [0.29, 0.30, 0.30, 0.29]], quantity="hidden layer")
    >>> print(verdict.sentence)
    hidden layer, width 64 to 512 (2 seeds): slope -0.005 +- 0.060 (95%): SUPPORTED within 0.15 of slope 0
    """
    places = axis("sizes", sizes)
    table = numbers("values", values)
    tolerance, base = between("tolerance", tolerance, 0, np.inf), between("base", base, 1, np.inf)
    if places.size < LEAST_GAMMAS:
        raise Misuse(f"sizes must be at least {LEAST_GAMMAS}, not {places.size}")
    if table.ndim != 2 or table.shape[1] != places.size or len(table) < 2:
        raise Misuse(f"values must have the shape (seed, {places.size}) with two seeds or more, not {table.shape}")
    try:
        spare = np.broadcast_to(numbers("off", off), table.shape)
    except ValueError as error:
        raise error if isinstance(error, Misuse) else Misuse(f"off must be broadcast to {table.shape}, not {np.shape(off)}") from None
    valid = np.isfinite(table) & (table > 0)
    where = f"{quantity}, {size} {places[0]:g} to {places[-1]:g} ({len(table)} seeds)"
    if not valid.all():
        s, i = np.argwhere(~valid)[0]
        fit = build_undecided_fit(f"{missing}, at {size} {places[i]:g} with seed no. {s + 1}", edge=quantity, axis=size)
        words = fit.reason
    else:
        fit = _fit_seeds(np.log10(table), places, base, spare, edge=quantity, axis=size)
        half = 0.5 * (fit.interval[1] - fit.interval[0])
        words = f"slope {fit.exponent:.3f} +- {half:.3f} (95%)"
    verdict = judge(fit, 0.0, tolerance)
    # the judge's sentence is about denser grids; here more seeds decide
    sentence = f"{where}: {words}: {verdict.outcome} within {tolerance:g} of slope 0"
    return replace(verdict, how_much_denser=None, sentence=sentence)


def _fit_seeds(log: np.ndarray, sizes: np.ndarray, base: float, off: np.ndarray, **known: Any) -> PowerLawFit:
    """Return the mean over seeds of the slopes of `log` (seed, n), with its intervals; sizes take the place of gamma."""
    seeds, n = log.shape
    x = np.log(sizes) / np.log(base)
    dx = x - x.mean()
    weight = dx / (dx @ dx)
    slopes = log @ weight                                                   # (seed,)
    slope, error = float(slopes.mean()), float(slopes.std(ddof=1) / np.sqrt(seeds))
    turned = float((off @ np.abs(weight)).mean())
    halves = [float(stdtrit(seeds - 1, q)) * error + turned for q in (0.975, 0.95)]
    rest = log - log.mean(1, keepdims=True) - slopes[:, None] * dx
    scatter = max(float(np.sqrt((rest**2).sum() / (seeds * (n - 2)))), 1e-12)
    middle = 10 ** log.mean(0)
    return PowerLawFit(exponent=slope, interval=(slope - halves[0], slope + halves[0]), interval90=(slope - halves[1], slope + halves[1]),
                       prefactor=float(10 ** (log.mean() - slope * x.mean())), window=(float(sizes[0]), float(sizes[-1])), n=n,
                       n_censored=0, outcome=FitOutcome.FITTED, scatter=scatter, gamma=np.asarray(sizes, float), lower=middle, upper=middle,
                       method="slopes of seeds, Student's interval of their mean", **known)
