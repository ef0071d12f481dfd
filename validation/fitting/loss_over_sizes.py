"""Fit a power law of the loss over a size (width, parameters, tokens), with or without a floor, to the losses of independent runs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from validation.arguments import Misuse, choose, positive
from validation.fitting.loss_floor import Bins, FloorLaw
from validation.fitting.loss_slope import describe_bend, read_floor_law
from validation.fitting.result import FitOutcome, PowerLawFit, build_undecided_fit

LEAST, LEAST_FLOOR = 4, 5        # sizes that a line and a law with a floor take


def fit_loss_law(size: ArrayLike, loss: ArrayLike, axis: str = "width", floor: bool = False) -> PowerLawFit:
    """Fit ``loss = A size^b``, or ``loss = E + A size^b``, to the losses of runs at several sizes.

    Losses over sizes, as over time (`validation.fit_loss_slope`), end on a floor, and a line through them has an exponent that depends on
    the sizes. Where the rows exclude a line at 1% and its local exponent moves by 0.02 or more, the fit is UNDECIDED: its `exponent` is
    that of the line, its `reason` has the local exponents, its `floor_law` the law with a floor.

    Parameters
    ----------
    size : (n,), > 0, at least four different ones, or five with a floor; seeds repeat it.
    loss : (n,), > 0, such as the loss at each size's best rate.
    axis : what `size` holds, for sentences.
    floor : whether the law has a floor E >= 0. `exponent` is then that of the power law above it, `floor` and `floor_interval` are E and
        its 95% interval. All intervals are those of the profile likelihood with one unknown variance of log loss.

    Returns
    -------
    PowerLawFit : size takes the place of gamma; the rows are the mean of log loss at each size.

    Raises
    ------
    Misuse : arrays of different lengths, values that are not finite and above zero.

    Examples
    --------
    >>> import numpy as np
    >>> width = 2.0 ** np.arange(5, 13)
    >>> law = fit_loss_law(width, 0.3 + 4 * width**-0.5, floor=True)
    >>> round(law.exponent, 3), round(law.floor, 3)
    (-0.5, 0.3)
    """
    choose("floor", floor, (False, True))
    if not isinstance(axis, str) or not axis:
        raise Misuse(f"axis must be a name, not {axis!r}")
    sizes, losses = np.atleast_1d(positive("size", size)), np.atleast_1d(positive("loss", loss))
    if sizes.ndim != 1 or losses.shape != sizes.shape:
        raise Misuse(f"size and loss must have one dimension and one length, not the shapes {sizes.shape} and {losses.shape}")
    order = np.argsort(sizes, kind="stable")
    x, y = np.log10(sizes[order]), np.log10(losses[order])
    places, at, count = np.unique(x, return_inverse=True, return_counts=True)
    means = np.bincount(at, y) / count
    known: dict[str, Any] = {"edge": "loss", "axis": axis, "window": (float(10 ** places[0]), float(10 ** places[-1])), "n": places.size,
                             "gamma": 10**places, "lower": 10**means, "upper": 10**means}
    least = LEAST_FLOOR if floor else LEAST
    if places.size < least:
        return build_undecided_fit(f"there are {places.size} sizes; {'a floor' if floor else 'a slope'} takes {least}", **known)
    centre = float(x.mean())
    dx = x - centre
    slope, level = float(dx @ y / (dx @ dx)), float(y.mean())
    if floor and slope >= 0:
        return build_undecided_fit(f"the loss does not fall over {axis}, so that no law with a floor describes it", **known)
    law = FloorLaw(Bins(x, y, np.arange(x.size)), independent=True) if places.size >= LEAST_FLOOR and slope < 0 else None
    method = "least squares of log loss, one variance"
    if floor and law is not None:
        return read_floor_law(law, method, known)
    rest = y - level - slope * dx
    scatter = float(np.sqrt(rest @ rest / (x.size - 2)))
    error = scatter / float(np.sqrt(dx @ dx))
    intervals = [(slope - t * error, slope + t * error) for t in (float(stdtrit(x.size - 2, q)) for q in (0.975, 0.95))]
    reason = "" if law is None else describe_bend(law)
    return PowerLawFit(exponent=slope, interval=intervals[0], interval90=intervals[1], prefactor=float(10 ** (level - slope * centre)),
                       n_censored=0, outcome=FitOutcome.UNDECIDED if reason else FitOutcome.FITTED, reason=reason, scatter=scatter,
                       log10_centre=centre, log10_level=level, floor_law=law, method=method, **known)
