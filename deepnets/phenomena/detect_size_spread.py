"""Spread of curves over network sizes, with the scatter of the seeds taken out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from validation.arguments import Misuse, between, numbers
from validation.judging.verdict import Verdict, VerdictOutcome

TOLERANCE = 0.1        # decades between the sizes that still count as none
LATE = 1 / 2           # of the snapshots: the last ones, that count
LEAST_SEEDS = 3        # the jackknife leaves one out, and the covariance needs two


@dataclass(frozen=True)
class SizeSpread:
    """Spread of curves over sizes, in decades.

    Attributes
    ----------
    spread : the standard deviation over sizes of log10 curves, root mean square over the late snapshots, without the seeds' scatter.
    interval, interval90 : its 95% and 90% intervals over the seeds.
    scatter : the standard deviation over seeds at one size and snapshot, without what all sizes of a seed share.
    each : (late snapshots,), the spread at each snapshot; 0 where the seeds explain it.
    verdict : whether the spread is zero within the tolerance.
    """

    spread: float
    interval: tuple[float, float]
    interval90: tuple[float, float]
    scatter: float
    each: np.ndarray
    verdict: Verdict

    @property
    def ratio(self) -> float:
        """The spread over the scatter of the seeds; below 1, a curve depends less on the size than on the seed."""
        return self.spread / self.scatter if self.scatter > 0 else np.inf if self.spread > 0 else 0.0

    @property
    def fired(self) -> bool:
        """Whether the spread is zero within the tolerance."""
        return self.verdict.outcome is VerdictOutcome.SUPPORTED

    @property
    def sentence(self) -> str:
        """The spread in one line."""
        return self.verdict.sentence


def size_spread(curves: ArrayLike, tolerance: float = TOLERANCE, late: float = LATE, what: str = "curves") -> SizeSpread:
    """Measure and judge the spread of curves over network sizes, late in training.

    With y = log10 of the curves and c(s, s') the covariance over sizes of seed s's y with that of seed s', averaged over the late
    snapshots, the squared spread is the mean of c over pairs of different seeds: as seeds are independent, their scatter enters c(s, s)
    alone. Its interval is the jackknife's over seeds, by Student's t; the ends for the spread are the square roots.

    Parameters
    ----------
    curves : (seed, size, snapshot), > 0, at least three seeds, two sizes and one snapshot; values that are zero or not finite are
        missing, and the verdict is UNDECIDED if a late one is.
    tolerance : decades of spread that still count as none.
    late : the share of the snapshots, the last ones, that counts, in (0, 1].
    what : the name of the curves, for the sentence.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    Examples
    --------
    Two sizes a decade apart, with any common factor for each seed:

    >>> import numpy as np
    >>> from deepnets.phenomena import size_spread
    >>> seeds, sizes = np.array([1.0, 2.0, 5.0]), np.array([1.0, 10.0])
    >>> found = size_spread(seeds[:, None, None] * sizes[:, None] * np.ones(4))
    >>> round(found.spread, 3), found.verdict.outcome.value
    (0.707, 'CONTRADICTED')
    """
    tolerance = between("tolerance", tolerance, 0, np.inf)
    if late != 1:
        between("late", late, 0, 1)
    values = numbers("curves", getattr(curves, "values", curves))
    if values.ndim != 3 or values.shape[0] < LEAST_SEEDS or values.shape[1] < 2 or values.shape[2] < 1:
        raise Misuse(f"curves must be (seed, size, snapshot), at least {LEAST_SEEDS} seeds and 2 sizes, not of shape {values.shape}")
    values = values[..., -max(1, round(late * values.shape[2])):]
    seeds, sizes, snapshots = values.shape
    valid = np.isfinite(values) & (values > 0)
    where = f"{what} of {sizes} sizes ({seeds} seeds)"
    if not valid.all():
        s, i, _ = np.argwhere(~valid)[0]
        nan = (np.nan, np.nan)
        verdict = Verdict(VerdictOutcome.UNDECIDED, np.nan, nan, 0.0, tolerance, edge=what,
                          sentence=f"{where}: size no. {i + 1} has no value with seed no. {s + 1}: UNDECIDED")
        return SizeSpread(np.nan, nan, nan, np.nan, np.full(snapshots, np.nan), verdict)
    y = np.log10(values)
    y = y - y.mean(1, keepdims=True)                                                    # a common factor of one seed is no spread
    squared = float(_between(y).mean())
    left_out = np.array([_between(np.delete(y, s, 0)).mean() for s in range(seeds)])
    error = float(np.sqrt((seeds - 1) / seeds * ((left_out - left_out.mean())**2).sum()))
    halves = [float(stdtrit(seeds - 1, q)) * error for q in (0.975, 0.95)]
    interval, interval90 = ((_root(squared - h), _root(squared + h)) for h in halves)
    spread, scatter = _root(squared), float(np.sqrt(((y - y.mean(0))**2).sum((0, 1)).mean() / ((seeds - 1) * (sizes - 1))))
    if interval90[1] <= tolerance:
        outcome = VerdictOutcome.SUPPORTED
    else:
        outcome = VerdictOutcome.CONTRADICTED if interval[0] > tolerance else VerdictOutcome.UNDECIDED
    sentence = (f"{where}: apart by {spread:.3f} decades, {interval[0]:.3f} to {interval[1]:.3f} (95%), where seeds scatter by "
                f"{scatter:.3f}: {outcome} within {tolerance:g} of no spread")
    verdict = Verdict(outcome, spread, interval, 0.0, tolerance, sentence, edge=what)
    return SizeSpread(spread, interval, interval90, scatter, np.sqrt(np.maximum(_between(y), 0)), verdict)


def _between(y: np.ndarray) -> np.ndarray:
    """Return at each snapshot the mean over pairs of different seeds of the covariance over sizes; y (seed, size, snapshot), centred."""
    seeds, sizes, _ = y.shape
    pairs = (y.sum(0)**2).sum(0) - (y**2).sum((0, 1))                                   # all pairs, less those of a seed with itself
    return np.asarray(pairs / (seeds * (seeds - 1) * (sizes - 1)))


def _root(squared: float) -> float:
    return float(np.sqrt(max(0.0, squared)))
