"""The transfer check: does the best learning rate stay where it is as the width grows? Knows no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from deepnets.checks.size_slopes import Check, checked, family, judge_flat
from deepnets.experiment import DeepExperiment
from deepnets.tasks import Task
from validation.arguments import Misuse, axis, between
from validation.fitting.comparison import optimum

LEAST_RATES = 5


def transfer_check(network_of_width: Callable[[int], Any], task: Task, widths: Sequence[int] = (32, 64, 128, 256), gamma: float = 1.0,
                   eta: Any = None, tolerance: float = 0.05, rate_width: Callable[[int], int] | None = None,
                   **training: Any) -> Check:
    """Return how the best eta moves with the width, in decades a doubling: not at all where it transfers.

    The best eta is that of the least final loss, by `validation.optimum` for each seed (a parabola in log10 around the least). A flat
    `coordinate_check` does not imply transfer: activations may move alike at all widths while the loss that they reach does not, or
    depends on eta otherwise; and in the lazy regime the best eta may stay though no feature is learned (Yang et al., arXiv 2203.03466;
    Noci et al., arXiv 2402.17457).

    Parameters
    ----------
    network_of_width : width -> a specification, such as ``lambda n: deepnets.MLP(64, n, 3, 10)``, or a callable seed ->
        torch.nn.Module.
    task : one of `deepnets.tasks`.
    widths : at least four, increasing.
    gamma : > 0, the same at every width, in the parametrization's own units: NTK's gamma is muP's times the root of the width.
    eta : increasing rates, at least five; None: ``gamma**2`` times 1 to 1000, ten a decade. Their unit is the parametrization's own.
    tolerance : decades a doubling that still count as none.
    rate_width : width -> the N of the rate N eta; None: a specification's own, and 1 of a module.
    training : further fields of `DeepExperiment`; ``steps`` is 100, ``seeds`` (0, 1, 2, 3) and ``batch_size`` 64 unless given.

    Returns
    -------
    Check : a verdict for "best eta"; SUPPORTED if the 90% interval over the seeds lies within the tolerance, CONTRADICTED if the 95%
        interval lies outside, UNDECIDED too where the best eta is the grid's first or last. Its `data` holds it, (quantity, seed, width).

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.
    """
    gamma, tolerance = between("gamma", gamma, 0, np.inf), between("tolerance", tolerance, 0, np.inf)
    grid = default_rates("eta", eta, gamma)
    experiments = family(network_of_width, "width", widths, task, rate_width,
                         {"steps": 100, "seeds": (0, 1, 2, 3), "batch_size": 64} | training)
    return moves_of_best(experiments, "width", gamma, grid, tolerance)


def default_rates(name: str, eta: Any, gamma: float) -> np.ndarray:
    """Return the rates asked for, or ``gamma**2`` times 1 to 1000, ten a decade; `Misuse`, naming the argument, of fewer than five."""
    grid = axis(name, gamma**2 * np.logspace(0, 3, 31) if eta is None else eta)
    if grid.size < LEAST_RATES:
        raise Misuse(f"{name} must hold at least {LEAST_RATES} rates, not {grid.size}")
    return grid


def moves_of_best(experiments: dict[int, DeepExperiment], size: str, gamma: float, grid: np.ndarray, tolerance: float) -> Check:
    """Return how the best eta of a grid moves with the experiments' size, "width" or "blocks"."""
    seeds = next(iter(experiments.values())).seeds
    final = np.stack([e.measure(np.array([gamma]), grid)["final_excess"].transpose("seed", "gamma", "eta").values[:, 0]
                      for e in experiments.values()], 1)                                    # (seed, n, eta)
    best = np.array([[_best(grid, curve) for curve in row] for row in final])
    verdict = judge_flat("best eta", size, np.array(list(experiments), float), best, tolerance, base=2,
                         missing=f"no best eta inside the grid, {grid[0]:g} to {grid[-1]:g}")
    return checked("transfer", size, experiments, seeds, {"best eta": verdict}, "decades a doubling", {"best eta": best})


def _best(eta: np.ndarray, loss: np.ndarray) -> float:
    """Return the eta of least loss, NaN where it is the grid's first or last, or where every run diverged."""
    there = np.isfinite(loss)
    if not there.any() or int(np.argmin(np.where(there, loss, np.inf))) in (0, eta.size - 1):
        return float("nan")
    return optimum(eta, loss).eta_opt
