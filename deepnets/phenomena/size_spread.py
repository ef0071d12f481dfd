"""How well curves of networks of several sizes fall together, beyond what seeds scatter; knows curves, no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from validation.arguments import Misuse, between, numbers
from validation.judging.verdict import Verdict, VerdictOutcome

TOLERANCE = 0.1        # decades between the sizes that still count as none
LATE = 1 / 2           # of the looks: those that count
LEAST_SEEDS = 3        # of which one can be left out, and two remain to be held against each other


@dataclass(frozen=True)
class Together:
    """How far curves of several sizes are apart, in decades.

    Attributes
    ----------
    spread : the standard deviation over sizes of log10 curves, root mean square over the late looks, what seeds scatter taken off.
    interval, interval90 : its 95% and 90% intervals over the seeds.
    scatter : the standard deviation from seed to seed at one size and look, what all sizes of a seed share taken off.
    each : (late looks,), the spread look by look; 0 where seeds explain it.
    verdict : whether the spread is none, within the tolerance.
    """

    spread: float
    interval: tuple[float, float]
    interval90: tuple[float, float]
    scatter: float
    each: np.ndarray
    verdict: Verdict

    @property
    def ratio(self) -> float:
        """The spread over the scatter of seeds: below 1, the size says less of a curve than the seed does."""
        return self.spread / self.scatter if self.scatter > 0 else np.inf if self.spread > 0 else 0.0

    @property
    def fired(self) -> bool:
        """Whether they fall together."""
        return self.verdict.outcome is VerdictOutcome.SUPPORTED

    @property
    def sentence(self) -> str:
        """The spread in one line."""
        return self.verdict.sentence


def together(curves: Any, tolerance: float = TOLERANCE, late: float = LATE, what: str = "curves") -> Together:
    """Tell how far curves of networks of several sizes are apart, late in training.

    With y = log10 of the curves and c(s, s') the covariance over sizes of seed s's y with that of seed s', averaged over the late looks,
    the squared spread is the mean of c over pairs of different seeds: seeds are independent, and what they scatter is in no such
    covariance, but in c(s, s) alone. Its interval is the jackknife's over seeds, by Student's t; that of the spread has the roots for ends.

    Parameters
    ----------
    curves : (seed, size, look), > 0, at least three seeds, two sizes and one look; what is not finite or zero is missing, and the verdict
        UNDECIDED if any late look is.
    tolerance : decades of spread that still count as none.
    late : the share of the looks, the last ones, that count, in (0, 1].
    what : what they are curves of, for the sentence.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    Examples
    --------
    Two sizes a decade apart, whatever the seeds do to both of them:

    >>> import numpy as np
    >>> from deepnets.phenomena import together
    >>> seeds, sizes = np.array([1.0, 2.0, 5.0]), np.array([1.0, 10.0])
    >>> found = together(seeds[:, None, None] * sizes[:, None] * np.ones(4))
    >>> round(found.spread, 3), found.verdict.outcome.value
    (0.707, 'CONTRADICTED')
    """
    tolerance = between("tolerance", tolerance, 0, np.inf)
    if late != 1:
        between("late", late, 0, 1)
    seen = numbers("curves", getattr(curves, "values", curves))
    if seen.ndim != 3 or seen.shape[0] < LEAST_SEEDS or seen.shape[1] < 2 or seen.shape[2] < 1:
        raise Misuse(f"curves must be (seed, size, look), at least {LEAST_SEEDS} seeds and 2 sizes, not of shape {seen.shape}")
    seen = seen[..., -max(1, round(late * seen.shape[2])):]
    seeds, sizes, _ = seen.shape
    where = f"{what} of {sizes} sizes ({seeds} seeds)"
    if not (np.isfinite(seen) & (seen > 0)).all():
        s, i, _ = np.argwhere(~(np.isfinite(seen) & (seen > 0)))[0]
        nan = (np.nan, np.nan)
        verdict = Verdict(VerdictOutcome.UNDECIDED, np.nan, nan, 0.0, tolerance, edge=what,
                          sentence=f"{where}: there is nothing to see of size no. {i + 1} with seed no. {s + 1}: UNDECIDED")
        return Together(np.nan, nan, nan, np.nan, np.full(seen.shape[2], np.nan), verdict)
    y = np.log10(seen)
    y = y - y.mean(1, keepdims=True)                                                    # a seed's own level is no spread over sizes
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
                f"{scatter:.3f}: {outcome} within {tolerance:g} of none")
    verdict = Verdict(outcome, spread, interval, 0.0, tolerance, sentence, edge=what)
    return Together(spread, interval, interval90, scatter, np.sqrt(np.maximum(_between(y), 0)), verdict)


def _between(y: np.ndarray) -> np.ndarray:
    """Return, look by look, the mean over pairs of different seeds of the covariance over sizes; y (seed, size, look) less its mean."""
    seeds, sizes, _ = y.shape
    pairs = (y.sum(0)**2).sum(0) - (y**2).sum((0, 1))                                   # all pairs, less each with itself
    return np.asarray(pairs / (seeds * (seeds - 1) * (sizes - 1)))


def _root(squared: float) -> float:
    return float(np.sqrt(max(0.0, squared)))
