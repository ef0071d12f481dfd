"""The search: short runs over rate and richness about the start, then a pattern search in full runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from deepnets.tuning.ridge import Start

SHORT = 6                                   # a short run has 1/6 of the steps
RICHER = 0.3                                # decades of gamma over the crossing, at which the search begins
FIRST_RATES = (-2.0, -1.5, -1.0, -0.5, 0.0)      # decades over the ridge, of the short runs at the start
GAMMAS = (-0.6, 0.6, 1.2)                   # decades of gamma from there, of the short runs that follow
TILT = 0.5                                  # a ramp passes the edge by so many decades of eta more for each decade of gamma
STEPS = (0.4, 0.25)                         # decades of gamma and of eta, in the first round of the pattern search
LEAST_STEP = 0.03                           # decades; below it the search ends
Point = tuple[float, float]


class Trials(Protocol):
    """What the search trains with.

    Attributes
    ----------
    remaining : full-run equivalents that may still be spent.
    """

    remaining: float

    def train(self, points: Sequence[Point], share: int) -> np.ndarray:
        """Train runs of 1/share of the steps together at points (gamma, eta) and return their losses, infinite for diverged runs."""
        ...


def walk(start: Start, trials: Trials) -> None:
    """Search for the (gamma, eta) of least loss until nothing remains to be spent, or the steps have become small.

    Coordinates are decades of gamma from where the search begins, and decades of eta over the ridge: the edge that the ramps found, tilted.
    """
    def place(d: float, k: float) -> Point:
        gamma = start.gamma * 10.0 ** (RICHER + d)
        return gamma, start.edge(gamma) * 10.0 ** (k - TILT * d)

    def run(where: Sequence[tuple[float, float]], share: int) -> np.ndarray:
        count = min(len(where), int(trials.remaining * share + 1e-9))
        losses = np.full(len(where), np.inf)
        if count:
            losses[:count] = trials.train([place(*w) for w in where[:count]], share)
        return losses

    rates = [(0.0, k) for k in FIRST_RATES]
    losses = run(rates, SHORT)
    least, (d, k) = float(losses.min()), rates[int(np.argmin(losses))]
    others = [(g, k) for g in GAMMAS]
    losses = run(others, SHORT)
    if losses.min() < least:
        d, k = others[int(np.argmin(losses))]
    if trials.remaining < 1 - 1e-9:
        return
    best, seen = float(run([(d, k)], 1)[0]), {(d, k)}
    step, order = np.array(STEPS), [(0, 1), (0, -1), (1, 0), (-1, 0)]
    while trials.remaining >= 1 - 1e-9 and step.max() >= LEAST_STEP:
        moved = False
        for direction in list(order):
            at = (round(d + step[0] * direction[0], 6), round(k + step[1] * direction[1], 6))
            if at in seen or trials.remaining < 1 - 1e-9:
                continue
            seen.add(at)
            loss = float(run([at], 1)[0])
            if loss < best:
                best, (d, k), moved = loss, at, True
                order.remove(direction)
                order.insert(0, direction)      # go on in the direction that helped
                break
        if not moved:
            step = step / 2
