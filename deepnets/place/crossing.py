"""Find the crossing between lazy and rich: the gamma at which the tangent kernel changes by its own norm until the loss has halved.

The output is divided by gamma, the network trained by gradient flow until the loss has halved, and F = |K - K_0|/|K_0| measured. F rises
with gamma, in proportion to it where training is lazy; the crossing is at F = 1, found by secants of log F over log gamma.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats

from deepnets.batched.state import Parameters
from deepnets.experiment import DeepExperiment
from deepnets.place.centred_batch import ROWS, CentredBatch
from deepnets.place.half_loss import MOST, halve_loss

SAMPLES = 96          # of the batch
MOST_READINGS = 6     # for each seed
NEAR = 0.1            # in log10 F: the crossing is then read off a line
BLUR = 0.02           # decades, of a crossing that is read off so
FLAT = 1e-9           # F of a kernel that does not change
FEWEST = 120          # gradients that a reading may take where the cost is limited; most take about half as many
TOO_FEW = "there are too few steps to measure it"
LEAP = 5.0            # decades from a network whose kernel does not change to the second reading
RETREAT = 1.5         # decades down from a gamma at which the loss has not halved
STEEPEST, FLATTEST = 2.5, 0.4      # slopes of log F over log gamma that a secant may have


@dataclass(frozen=True)
class Reading:
    """F at one gamma: `change` is NaN where the loss has not halved; `gradients` were computed."""

    gamma: float
    change: float
    gradients: int


@dataclass(frozen=True)
class Crossing:
    """The crossing between lazy and rich, by seeds.

    Attributes
    ----------
    gamma : the geometric mean of the seeds' crossings; None: abstained.
    interval : (low, high), 95% for the mean over seeds, by Student's t of the logarithms; None for a single seed.
    by_seed : the crossing of each seed.
    readings : of each seed, in the order in which they were taken.
    linear : whether the kernel changes at no gamma: the network is lazy at all of them.
    reason : a sentence, why there is no crossing; empty if there is one.
    cost : gradients of single samples that were computed, those for kernels included.
    """

    gamma: float | None
    interval: tuple[float, float] | None
    by_seed: tuple[float, ...]
    readings: tuple[tuple[Reading, ...], ...]
    linear: bool = False
    reason: str = ""
    cost: int = 0

    @property
    def gradients(self) -> int:
        """The gradients of batches of 96 samples that were computed."""
        return sum(r.gradients for of_seed in self.readings for r in of_seed)


def find_crossing(experiment: DeepExperiment, samples: int = SAMPLES, advance: Callable[[], None] = lambda: None, rows: int = ROWS,
                  near: float = NEAR, most_cost: float = np.inf) -> Crossing:
    """Find the gamma at which an experiment's network, trained by gradient flow, crosses from lazy to rich.

    Parameters
    ----------
    experiment : network, task, loss and seeds; its optimizer is not used: the flow is that of SGD.
    samples : of the batch, drawn with the seed of the network.
    advance : called after each reading.
    rows : of the tangent kernel, at most.
    near : in log10 F: a reading so near to F = 1 ends the search.
    most_cost : gradients of single samples, for each seed; no reading is taken that could exceed it, and the crossing is then extrapolated.

    Returns
    -------
    Crossing : at most six readings a seed. It abstains, with its reason, where the loss does not halve, the output does not depend on the
        parameters, or F does not pass 1.

    Raises
    ------
    Misuse : what the experiment refuses; data that are not finite.
    """
    found: list[float] = []
    readings: list[tuple[Reading, ...]] = []
    cost = 0
    for seed in experiment.seeds:
        search = _Search(CentredBatch(experiment, seed, samples, rows), advance, near, most_cost)
        crossing = search.run()
        readings.append(tuple(search.readings))
        cost += search.cost
        if crossing is None:
            return Crossing(None, None, (), tuple(readings), search.linear, search.reason, cost)
        found.append(crossing)
    mean = float(np.mean(found))
    interval = None
    if len(found) > 1:
        error = np.sqrt(np.var(found, ddof=1) / len(found) + BLUR**2 / len(found))
        half = float(stats.t.ppf(0.975, len(found) - 1) * error)
        interval = 10.0**(mean - half), 10.0**(mean + half)
    return Crossing(10.0**mean, interval, tuple(10.0**c for c in found), tuple(readings), cost=cost)


class _Search:
    """The readings of one seed, and where the next is taken, all in log10."""

    def __init__(self, batch: CentredBatch, advance: Callable[[], None], near: float, most_cost: float) -> None:
        self.batch, self.advance, self.near, self.most_cost = batch, advance, near, most_cost
        self.kernels = 0
        self.readings: list[Reading] = []
        self.linear, self.reason = False, ""

    @property
    def cost(self) -> int:
        """The gradients of single samples that were computed."""
        return len(self.batch.f_0) * sum(r.gradients for r in self.readings) + self.kernels * self.batch.kernel_cost

    @property
    def affordable(self) -> bool:
        """Whether the cost that is allowed suffices for one reading more."""
        return self._count_gradients() >= FEWEST

    def _count_gradients(self) -> int:
        """Return how many gradients the next reading may take, besides its kernel, and that at theta_0 before the first."""
        kernels = 1 if self.kernels else 2
        return int(min(MOST, (self.most_cost - self.cost - kernels * self.batch.kernel_cost) // len(self.batch.f_0)))

    def _measure_kernel(self, theta: Parameters) -> torch.Tensor:
        self.kernels += 1
        return self.batch.kernel(theta)

    def read(self, at: float) -> float:
        """Return log10 F at a log10 gamma; NaN where the loss has not halved."""
        flow = halve_loss(self.batch, 10.0**at, self._count_gradients())
        change = np.nan
        if flow.arrived:
            change = float((self._measure_kernel(flow.theta) - self.kernel_0).norm() / self.kernel_0.norm())
        self.readings.append(Reading(10.0**at, change, flow.gradients))
        self.advance()
        return float(np.log10(max(change, 1e-300)))

    def run(self) -> float | None:
        """Return log10 of the crossing; None, with the reason, where there is none."""
        if not self.affordable:
            self.reason = TOO_FEW
            return None
        self.kernel_0 = self._measure_kernel(self.batch.theta_0)
        if not float(self.kernel_0.norm()) > 0:
            self.reason = "the network's output does not depend on its parameters: it is constant near its initialization"
            return None
        at, points, failures = 0.0, dict[float, float](), 0
        while len(self.readings) < MOST_READINGS and self.affordable:
            found = self.read(at)
            if np.isnan(found):
                failures += 1
                if failures == 2:
                    break
                at -= RETREAT
                continue
            if found < np.log10(FLAT):
                if points:
                    self.linear, self.reason = True, ("the tangent kernel does not change at any gamma: the network is linear in its "
                                                      "trained parameters, and lazy at every gamma")
                    return None
                points[at] = found
                at += LEAP
                continue
            points[at] = found
            slope, near = _secant(points)
            if abs(points[near]) <= self.near:
                return near - points[near] / slope
            at = near - points[near] / slope
        if len(self.readings) < MOST_READINGS and not failures and not self.affordable:
            if points:
                return at
            self.reason = TOO_FEW
        elif failures:
            self.reason = (f"gradient flow did not halve the loss in {self.readings[-1].gradients} gradients at gamma = "
                           f"{', '.join(f'{r.gamma:.3g}' for r in self.readings if np.isnan(r.change))}")
        else:
            self.reason = (f"the change of the tangent kernel did not pass 1 in {MOST_READINGS} readings: it was "
                           f"{', '.join(f'{r.change:.2g} at gamma = {r.gamma:.2g}' for r in self.readings)}")
        return None


def _secant(points: dict[float, float]) -> tuple[float, float]:
    """Return the slope of log F over log gamma about the crossing, and the reading nearest to it.

    Where readings lie on both sides of the crossing the slope is that between the nearest of each; on one side, that of the last two, or
    1, the lazy slope, of a single one.
    """
    used = {a: f for a, f in points.items() if f >= np.log10(FLAT)}
    near = min(used, key=lambda a: abs(used[a]))
    below, above = [a for a in used if used[a] < 0], [a for a in used if used[a] >= 0]
    if below and above:
        low, high = max(below, key=lambda a: used[a]), min(above, key=lambda a: used[a])
    elif len(used) > 1:
        low, high = sorted(sorted(used, key=lambda a: abs(used[a]))[:2])
    else:
        return 1.0, near
    return float(np.clip((used[high] - used[low]) / (high - low), FLATTEST, STEEPEST)), near
