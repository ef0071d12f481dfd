"""The search: short runs over the whole plane, then full runs where a surrogate expects improvement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from deepnets.tuning.ridge import Start
from deepnets.tuning.surrogate import VALLEY, Observation, fit_surrogate

SHORT = 6                       # a short run has 1/6 of the steps
FIRST = 8                       # short runs at the start
GOLDEN = (5**0.5 - 1) / 2       # whose multiples, modulo one, spread the rates of the first runs evenly
FIRST_REACH = (2.1, 0.6)        # decades of gamma about the crossing, and of eta about the expected valley, over which they are spread
REACH = (2.4, 1.5)              # likewise, of all runs: farther on the lazy side a run depends on eta/gamma^power alone
FINENESS = (33, 41)             # proposals over gamma and over eta
APART = (0.1, 0.065)            # decades of gamma and of eta: no full run is repeated so near to another
Point = tuple[float, float]


class Trials(Protocol):
    """What the search trains with.

    Attributes
    ----------
    remaining : full-run equivalents that may still be spent.
    """

    remaining: float

    def train(self, points: Sequence[Point], share: int) -> np.ndarray:
        """Train runs of 1/share of the steps together at points (gamma, eta), and return their losses, infinite for diverged runs.

        They are (points, 2): at the end, and after 1/SHORT of the steps of a full run.
        """
        ...


def search(start: Start, trials: Trials) -> None:
    """Search for the (gamma, eta) of least loss until less than a full run remains to be spent, or each proposal is beside a run.

    Coordinates are decades of gamma from the crossing, and decades of eta over the ridge.
    """
    observations: list[Observation] = []

    def run(where: Sequence[Point], share: int) -> None:
        count = min(len(where), int(trials.remaining * share + 1e-9))
        if not count:
            return
        gammas = [start.gamma * 10.0**x for x, _ in where[:count]]
        losses = trials.train([(g, start.edge(g) * 10.0**y) for g, (_, y) in zip(gammas, where, strict=False)], share)
        for at, (final, early) in zip(where, losses, strict=False):
            observations.append(Observation(at, False, float(early)))
            if share == 1:
                observations.append(Observation(at, True, float(final)))

    valley = VALLEY[start.power]
    run(spread(valley), SHORT)
    axes = (np.linspace(-r, r, n) for r, n in zip(REACH, FINENESS, strict=True))
    lattice = np.round(np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2) + np.array([0, valley]), 6)
    free = np.ones(len(lattice), dtype=bool)
    while free.any() and trials.remaining >= 1 - 1e-9:
        surrogate = fit_surrogate(observations, valley)
        gain = surrogate.expect_improvement(lattice) if surrogate.full.any() else -surrogate.predict(lattice)[0]
        x, y = lattice[int(np.argmax(np.where(free, gain, -np.inf)))]
        free &= np.linalg.norm((lattice - (x, y)) / APART, axis=1) >= 1
        run([(float(x), float(y))], 1)


def spread(valley: float) -> list[Point]:
    """Return the points of the first short runs: gammas at equal distances, rates about the valley by the golden ratio."""
    i = np.arange(FIRST) + 0.5
    x = FIRST_REACH[0] * (2 * i / FIRST - 1)
    y = valley + FIRST_REACH[1] * (2 * (i * GOLDEN % 1) - 1)
    return [(round(float(a), 6), round(float(b), 6)) for a, b in zip(x, y, strict=True)]
