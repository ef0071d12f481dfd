"""The search: short runs about the start, four full runs by a pattern, then full runs where a surrogate expects improvement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from deepnets.tuning.ridge import Start
from deepnets.tuning.surrogate import Observation, Surrogate

SHORT = 6                                   # a short run has 1/6 of the steps
RICHER = 0.3                                # decades of gamma over the crossing, at which the search begins
FIRST_RATES = (-2.0, -1.5, -1.0, -0.5, 0.0)      # decades over the ridge, of the short runs at the start
GAMMAS = (-0.6, 0.6, 1.2)                   # decades of gamma from there, of the short runs that follow
STEPS = (0.4, 0.25)                         # decades of gamma and of eta, in the first round of the pattern
PATTERN = 4                                 # full runs by the pattern, the first included
REGION = (0.6, 0.35)                        # decades of gamma and of eta about the best, in which the surrogate proposes
SHRINK, LEAST_REGION = 0.85, (0.15, 0.1)    # of the region, after a run that did not improve
FINENESS = 21                               # proposals a side of the region
APART = 0.5                                 # of the region: no full run is repeated so near to another
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


def walk(start: Start, trials: Trials) -> None:
    """Search for the (gamma, eta) of least loss until nothing remains to be spent, or the best is surrounded by runs.

    Coordinates are decades of gamma from the crossing, and decades of eta over the ridge.
    """
    search = _Search(start, trials)
    search.scan()
    if trials.remaining < 1 - 1e-9:
        return
    search.follow_pattern()
    search.follow_surrogate()


class _Search:
    """The runs that were made, in the coordinates of the ridge."""

    def __init__(self, start: Start, trials: Trials) -> None:
        self.start, self.trials = start, trials
        self.observations: list[Observation] = []

    def run(self, where: Sequence[Point], share: int) -> None:
        """Train at points (x, y), as many as may still be spent."""
        count = min(len(where), int(self.trials.remaining * share + 1e-9))
        if not count:
            return
        gammas = [self.start.gamma * 10.0**x for x, _ in where[:count]]
        losses = self.trials.train([(g, self.start.edge(g) * 10.0**y) for g, (_, y) in zip(gammas, where, strict=False)], share)
        for at, (final, early) in zip(where, losses, strict=False):
            self.observations.append(Observation(at, False, float(early)))
            if share == 1:
                self.observations.append(Observation(at, True, float(final)))

    def find_best(self, full: bool) -> Observation:
        """Return the observation of least loss, of full runs or of short ones."""
        return min((o for o in self.observations if o.full == full), key=lambda o: o.loss)

    def scan(self) -> None:
        """Try short runs over the rate, then over gamma."""
        self.run([(RICHER, y) for y in FIRST_RATES], SHORT)
        if self.observations:
            y = self.find_best(full=False).at[1]
            self.run([(RICHER + x, y) for x in GAMMAS], SHORT)

    def follow_pattern(self) -> None:
        """Train the best short run's point in full, then beside the best, with steps that are halved where none helps."""
        best = self.find_best(full=False).at
        self.run([best], 1)
        seen, count, step = {best}, 1, np.array(STEPS)
        order = [(0, 1), (0, -1), (1, 0), (-1, 0)]
        while True:
            moved = False
            for direction in list(order):
                at = (round(best[0] + step[0] * direction[0], 6), round(best[1] + step[1] * direction[1], 6))
                if at in seen:
                    continue
                if count >= PATTERN or self.trials.remaining < 1 - 1e-9:
                    return
                seen.add(at)
                self.run([at], 1)
                count += 1
                if self.find_best(full=True).at == at:
                    best, moved = at, True
                    order.remove(direction)
                    order.insert(0, direction)      # go on in the direction that helped
                    break
            if not moved:
                step = step / 2

    def follow_surrogate(self) -> None:
        """Train where the surrogate expects the most, in a region about the best that shrinks where nothing improves."""
        region = np.array(REGION)
        side = np.linspace(-1, 1, FINENESS)
        lattice = np.stack(np.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 2)
        while self.trials.remaining >= 1 - 1e-9:
            best = self.find_best(full=True)
            points = np.round(np.array(best.at) + region * lattice, 6)
            ran = np.array([o.at for o in self.observations if o.full])
            near = (np.linalg.norm((points[:, None] - ran[None]) / region, axis=-1) < APART).any(1)
            if near.all():
                return
            expected = Surrogate(self.observations).expect_improvement(points)
            x, y = points[int(np.argmax(np.where(near, -1.0, expected)))]
            self.run([(float(x), float(y))], 1)
            if self.find_best(full=True).loss == best.loss:
                region = np.maximum(region * SHRINK, LEAST_REGION)
