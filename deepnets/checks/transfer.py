"""The transfer check: the best learning rate over the width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from deepnets.checks.size_checks import Check, assemble_check, build_experiments
from deepnets.experiment import DeepExperiment
from deepnets.tasks import Task
from validation.arguments import Misuse, axis, between
from validation.fitting.best_rate import MISSING, optimum
from validation.judging.slopes_over_seeds import judge_flat
from validation.outcome import Outcome

LEAST_RATES = 5


def transfer_check(network_of_width: Callable[[int], Any], task: Task, widths: Sequence[int] = (32, 64, 128, 256), gamma: float = 1.0,
                   eta: ArrayLike | None = None, tolerance: float = 0.05, rate_width: Callable[[int], int] | None = None,
                   **training: Any) -> Check:
    """Measure how the best eta moves with the width, in decades a doubling: not at all where it transfers.

    The best eta is that of the least final loss, by `validation.optimum` for each seed (a parabola in log10 around the least). A
    `coordinate_check` with slopes of zero does not imply transfer: activations may change equally at all widths while the loss depends
    differently on eta; and in the lazy regime the best eta may stay though no feature is learned (Yang et al., arXiv 2203.03466;
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
    experiments = build_experiments(network_of_width, "width", widths, task, rate_width,
                                    {"steps": 100, "seeds": (0, 1, 2, 3), "batch_size": 64} | training)
    return judge_best_rates(experiments, "width", gamma, grid, tolerance)


def default_rates(name: str, eta: ArrayLike | None, gamma: float) -> np.ndarray:
    """Return the rates `eta`; None: ``gamma**2`` times 1 to 1000, ten a decade. Fewer than five are a `Misuse` of the argument `name`."""
    grid = axis(name, gamma**2 * np.logspace(0, 3, 31) if eta is None else eta)
    if grid.size < LEAST_RATES:
        raise Misuse(f"{name} must hold at least {LEAST_RATES} rates, not {grid.size}")
    return grid


def judge_best_rates(experiments: dict[int, DeepExperiment], size: str, gamma: float, grid: np.ndarray, tolerance: float) -> Check:
    """Judge how the best eta of a grid moves with the experiments' size, "width" or "blocks"."""
    seeds = next(iter(experiments.values())).seeds
    runs = [e.measure(np.array([gamma]), grid).isel(gamma=0).transpose("seed", "eta", ...) for e in experiments.values()]
    final, status = (np.stack([run[name].values for run in runs], 1) for name in ("final_excess", "outcome"))      # (seed, n, eta)
    best = np.array([[_find_best(grid, *curve) for curve in zip(*row, strict=True)] for row in zip(final, status, strict=True)])
    verdict = judge_flat(np.array(list(experiments), float), best, tolerance, "best eta", size, base=2,
                         missing=f"no best eta inside the grid, {grid[0]:g} to {grid[-1]:g}")
    return assemble_check("transfer", size, experiments, seeds, {"best eta": verdict}, "decades a doubling", {"best eta": best})


def _find_best(eta: np.ndarray, loss: np.ndarray, status: np.ndarray) -> float:
    """Return the eta of least loss, NaN where it is the grid's first or last, or where no run is left."""
    finite = np.isfinite(loss) & ~np.isin(status, (Outcome.DIVERGED, *MISSING))
    if not finite.any() or int(np.argmin(np.where(finite, loss, np.inf))) in (0, eta.size - 1):
        return float("nan")
    return optimum(eta, loss, status).eta_opt
