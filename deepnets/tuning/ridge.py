"""Where the search starts: the crossing between lazy and rich, and the highest rates about it, measured by ramps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from deepnets.experiment import DeepExperiment
from deepnets.place.crossing import find_crossing
from deepnets.place.rate_ramp import RAMP_DECADES, RateRuns, find_rise
from deepnets.theory import plain_depth

SAMPLES, ROWS, NEAR = 48, 48, 0.3      # of the search for the crossing: a start needs no more
RAMP = 80                              # steps of a ramp, at most
SHARE = 0.1                            # of the steps of a run, that a ramp takes at most
LEAST_RAMP = 20                        # steps
NEAREST = 0.3                          # decades below the crossing: an edge farther below it is one of the lazy side
DEPTH = 3                              # of a network that has no plain depth
OFFSETS = (0.0, 0.7, -0.7)             # decades of gamma from the crossing at which the rate is ramped, the first alone if the others fail


@dataclass(frozen=True)
class Start:
    """Where the search starts.

    Attributes
    ----------
    gamma : of the crossing between lazy and rich; 1 where it is not found.
    edges : (gamma, eta) at which the loss rose during a ramp, by increasing gamma.
    power : of gamma, with which the edge rises in the lazy regime.
    rich : power of gamma, with which it rises in the rich regime: 2/L for SGD, 1/L for Adam, with L = 3 where a network has no plain depth.
    cost : gradients of single samples that were computed.
    notes : sentences on what was not found.
    crossed : whether the crossing was found.
    """

    gamma: float
    edges: tuple[tuple[float, float], ...]
    power: int
    rich: float
    cost: int
    notes: tuple[str, ...] = ()
    crossed: bool = True

    def edge(self, gamma: float) -> float:
        """Return the edge at a gamma.

        Beyond the crossing it is the rich power of gamma, at the mean level of the edges there; below, a line in logarithms to the edge
        that was measured below, with a slope between the rich and the lazy one; farther below, the lazy power of gamma.
        """
        at, values = np.log10(np.array(self.edges)).T
        at, x = at - np.log10(self.gamma), float(np.log10(gamma / self.gamma))
        beyond = at > -NEAREST
        level = float(np.mean(values[beyond] - self.rich * at[beyond])) if beyond.any() else float(values[-1] - self.power * at[-1])
        lowest, slope = OFFSETS[-1], (self.power + self.rich) / 2
        if not beyond.all():
            lowest, slope = float(at[0]), float(np.clip((level - values[0]) / -at[0], self.rich, self.power))
        decades = self.rich * max(x, 0.0) + slope * min(max(x, lowest), 0.0) + self.power * min(x - lowest, 0.0)
        return float(10.0 ** (level + decades))

    def describe(self) -> dict[str, Any]:
        """Return the start as JSON."""
        return asdict(self)

    @classmethod
    def read(cls, stored: dict[str, Any]) -> Self:
        """Return a start from what `describe` returned."""
        return cls(**stored | {"edges": tuple(map(tuple, stored["edges"])), "notes": tuple(stored["notes"])})


def measure_start(experiment: DeepExperiment, most_cost: float = np.inf) -> Start:
    """Measure where the search starts, with the first of an experiment's seeds.

    Parameters
    ----------
    experiment : of the runs.
    most_cost : gradients of single samples that the search for the crossing may take.

    Raises
    ------
    Misuse : what the experiment refuses; data that are not finite.
    """
    experiment = experiment.with_seeds(experiment.seeds[:1])
    crossing = find_crossing(experiment, SAMPLES, rows=ROWS, near=NEAR, most_cost=most_cost)
    gamma = crossing.gamma or 1.0
    notes = [f"the crossing: {crossing.reason}"] if crossing.reason else []
    steps = int(np.clip(SHARE * experiment.horizons[-1], LEAST_RAMP, RAMP))
    cost, edges = crossing.cost, []
    for offset in OFFSETS:
        runs = RateRuns(experiment, gamma * 10.0**offset)
        scale = runs.measure_scale()
        cost += experiment.batch_size
        if not (np.isfinite(scale) and scale > 0):
            continue
        rates = scale * np.logspace(*RAMP_DECADES, steps)
        found = find_rise(runs.average(rates), rates, experiment.rho)
        cost += runs.steps * experiment.batch_size
        if found is None:
            notes.append(f"the loss did not rise at any rate of a ramp at gamma = {gamma * 10.0**offset:.3g}")
        edges.append((gamma * 10.0**offset, float(rates[-1]) if found is None else found))
    return Start(gamma, tuple(sorted(edges)), experiment.optimizer.power, find_rich_power(experiment), cost, tuple(notes),
                 crossing.gamma is not None)


def find_rich_power(experiment: DeepExperiment) -> float:
    """Return the power of gamma with which the edge rises in the rich regime, 2/L for SGD and 1/L for Adam (the paper's Table 1)."""
    describe = getattr(experiment.network, "describe", None)
    return experiment.optimizer.power / ((plain_depth(describe()) if describe else None) or DEPTH)
