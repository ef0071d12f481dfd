"""Solve the linear problem of the lazy regime: the least rate at which the optimizer brings the excess loss to rho in T steps.

As gamma -> 0 the output is linear in the parameters, and the loss depends on ``Delta = 1 - f`` alone, which starts at 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from toymodels.models import Model, OneParameter

LAZY_END = 0.005    # the largest gamma of the lazy limit: beyond, f is not linear to half a per cent


def initial_slope(model: Model) -> int:
    """Return c, the slope of ``gamma f`` in the parameter at the start; in two parameters u2 alone moves f."""
    return model.depth if isinstance(model, OneParameter) else 2


def solve_least_rate(train: Callable[[np.ndarray], np.ndarray], target: float, least: float) -> float:
    """Return the least rate whose ``Delta = 1 - f`` after training is the target, to nine digits; NaN where no rate trains.

    While Delta is positive every step of an optimizer is towards the minimum, so that at this rate Delta falls monotonically and reaches
    the target at the last step. No run that oscillates has a lower rate.

    Parameters
    ----------
    train : rates (n,) -> Delta after the steps, (n,).
    target : Delta at which the excess is rho, in (0, 1).
    least : a rate that is at most the solution, and at least 1/400 of it.
    """
    low, high = np.log(least), np.log(least) + 6.0
    for _ in range(4):
        trial = np.linspace(low, high, 33)
        left = train(np.exp(trial)) - target
        if not (left <= 0).any():
            return float("nan")
        k = max(1, int(np.argmax(left <= 0)))
        low, high = trial[k - 1], trial[k]
    # linear between the last two, which are 1e-5 apart
    return float(np.exp(low + (high - low) * left[k - 1] / (left[k - 1] - left[k])))
