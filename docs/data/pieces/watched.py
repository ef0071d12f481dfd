"""Parts that are runs looked at while they train: one part a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from deepnets import DeepExperiment
from deepnets.phenomena import Snapshot, watch
from pieces import estimates
from pieces.piece import Cost, Part

RATE = 10.0        # of the line on which runs are looked at: on digits a sixth of the lazy eta_crit, and trained where rich


def over_seeds(experiment: DeepExperiment, gamma: Sequence[float], eta: Sequence[float], at: Sequence[int],
               observe: Mapping[str, Callable[[Snapshot], Any]], seeds: int, probe: int, products: int = 0) -> tuple[Part, ...]:
    """Return a part for each seed: the runs (gamma, eta), looked at after the steps `at` on `probe` samples.

    `products` is how many products with a Hessian a look takes for each run, for the estimate.
    """
    def cost(on: estimates.Machine) -> Cost:
        found = [estimates.training(on, experiment, len(gamma))]
        if products:
            found.append(estimates.products(on, experiment, len(gamma), products * len(at), probe))
        return estimates.together(*found)

    return tuple(Part(f"seed{seed}", partial(_watched, experiment, gamma, eta, at, observe, seed, probe), cost) for seed in range(seeds))


def _watched(experiment: DeepExperiment, gamma: Sequence[float], eta: Sequence[float], at: Sequence[int],
             observe: Mapping[str, Callable[[Snapshot], Any]], seed: int, probe: int) -> xr.Dataset:
    samples = experiment.task.batch(seed, 0, probe)
    return watch(experiment, gamma, eta, at, observe, seed, samples).expand_dims(seed=[seed])


def optimal_line(gamma: np.ndarray, depth: int, rate: float) -> np.ndarray:
    """Return ``rate gamma**2`` where lazy and ``rate gamma**(2/L)`` where rich."""
    return rate * gamma ** np.where(gamma < 1, 2.0, 2 / depth)
