"""Super-consistency: sharpness in time, and the best eta, independent of width or depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from deepnets.checks.size_checks import Check, build_experiments, combine_outcomes
from deepnets.checks.transfer import default_rates, judge_best_rates
from deepnets.experiment import DeepExperiment
from deepnets.phenomena import measures
from deepnets.phenomena.detect_size_spread import LEAST_SEEDS, TOLERANCE, SizeSpread, size_spread
from deepnets.phenomena.recorder import snapshot_steps, watch
from deepnets.tasks import Task
from validation.arguments import Misuse, between, choose
from validation.fitting.best_rate import fit_additive_means
from validation.judging.verdict import Verdict, VerdictOutcome

SIZES = ("width", "blocks")
BELOW = 1 / 4          # of the best eta: at the best one all sizes are at the edge of stability, eta lambda/2 = 1
SNAPSHOTS = 9


@dataclass(frozen=True, eq=False)
class SuperConsistency:
    """Sharpness in time over sizes, the spread of its curves, and how far the best eta moves.

    Attributes
    ----------
    curves : `sharpness` (seed, size, step), ``N eta lambda/2``, and `loss` (seed, size, time); the dim of the sizes is "width" or
        "blocks". Attrs: gamma, and the eta of these runs.
    spread : of the curves of sharpness over the sizes, late in training.
    transfer : how far the best eta moves, in decades a doubling.
    """

    curves: xr.Dataset
    spread: SizeSpread
    transfer: Check

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdicts on "sharpness", in decades, and "best eta", in decades a doubling."""
        return {"sharpness": self.spread.verdict} | self.transfer.verdicts

    @property
    def outcome(self) -> VerdictOutcome:
        """SUPPORTED if the curves coincide and the best eta stays, CONTRADICTED if one of them surely does not."""
        return combine_outcomes(self.verdicts.values())

    @property
    def fired(self) -> bool:
        """Whether the networks are super-consistent."""
        return self.outcome is VerdictOutcome.SUPPORTED

    @property
    def sentence(self) -> str:
        """The verdict in one line, with its numbers."""
        size = str(self.curves.sharpness.dims[1])
        sizes, best = self.curves[size].values, self.transfer.verdict
        word = {VerdictOutcome.SUPPORTED: "super-consistent", VerdictOutcome.CONTRADICTED: "not super-consistent"}.get(
            self.outcome, "UNDECIDED whether super-consistent")
        spread = self.spread
        return (f"{word} in {size} {sizes[0]} to {sizes[-1]} ({self.curves.sizes['seed']} seeds): sharpness apart by {spread.spread:.3f} "
                f"decades ({spread.interval[0]:.3f} to {spread.interval[1]:.3f}, seeds {spread.scatter:.3f}), {spread.verdict.outcome}; "
                f"the best eta moves by {best.measured:.3f} decades a doubling ({best.interval[0]:.3f} to {best.interval[1]:.3f}), "
                f"{best.outcome}")


def super_consistency(network_of_size: Callable[[int], Any], task: Task, sizes: Sequence[int], size: Literal["width", "blocks"] = "width",
                      gamma: float = 1.0, eta: float | None = None, scan: ArrayLike | None = None, at: Sequence[int] | None = None,
                      tolerance: float = TOLERANCE,
                      transfer_tolerance: float = 0.05, rate_width: Callable[[int], int] | None = None,
                      **training: Any) -> SuperConsistency:
    """Measure how sharpness in time, and the best eta, depend on a network's width or depth (Noci et al., arXiv 2402.17457).

    Under muP sharpness in time does not depend on the width, nor under Depth-muP on the depth, and the best eta transfers. Under the NTK
    parametrization, whose gamma is that of muP times the root of the width, wider networks are lazier and sharpen less; without the
    branches' ``1/sqrt(blocks)`` deeper ones are sharper. Choose gamma in the rich regime or near it: far below gamma = 1 curvature does not
    change at any width.

    Parameters
    ----------
    network_of_size : width or number of blocks -> a specification, such as ``lambda n: deepnets.MLP(64, n, 3, 10)``, or a callable
        seed -> torch.nn.Module.
    task : one of `deepnets.tasks`.
    sizes : at least four, increasing.
    size : what the sizes are, "width" or "blocks", for names and sentences.
    gamma : > 0, the same at every size, in the parametrization's own units.
    eta : > 0, of the runs whose sharpness is measured; None: a quarter of the least best eta of any size.
    scan : increasing rates, at least five, among which the best one is that of the least final loss, for each seed; None: as of
        `deepnets.transfer_check`.
    at : steps after which sharpness is measured, on the batch of the first step; None: nine, evenly spread from 0 to the last.
    tolerance : decades of spread of the sharpness that still count as none; the last half of the snapshots counts.
    transfer_tolerance : decades a doubling by which the best eta may move.
    rate_width : size -> the N of the rate N eta; None: a specification's own, and 1 of a module.
    training : further fields of `DeepExperiment`; ``steps`` is 100, ``seeds`` (0, 1, 2, 3), at least three, and ``batch_size`` 64 unless
        given. SignSGD and Adam, which have no sharpness in units of 2/eta, are refused.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    Examples
    --------
    ``super_consistency(lambda n: deepnets.MLP(64, n, 3, 10), deepnets.tasks.digits(), (16, 32, 64, 128))``
    """
    choose("size", size, SIZES)
    gamma, tolerance = between("gamma", gamma, 0, np.inf), between("tolerance", tolerance, 0, np.inf)
    transfer_tolerance = between("transfer_tolerance", transfer_tolerance, 0, np.inf)
    if eta is not None:
        eta = between("eta", eta, 0, np.inf)
    grid = default_rates("scan", scan, gamma)
    experiments = build_experiments(network_of_size, "size", sizes, task, rate_width,
                                    {"steps": 100, "seeds": (0, 1, 2, 3), "batch_size": 64} | training)
    first = next(iter(experiments.values()))
    if len(first.seeds) < LEAST_SEEDS:
        raise Misuse(f"seeds must be at least {LEAST_SEEDS}, for an interval over seeds, not {first.seeds!r}")
    if first.optimizer.power != 2:
        raise Misuse(f"optimizer must be SGD or momentum, for which sharpness in units of 2/eta is defined, not {first.optimizer.name!r}")
    T = first.horizons[-1]
    steps = snapshot_steps(np.unique(np.linspace(0, T, SNAPSHOTS).round()) if at is None else at, T)
    transfer = judge_best_rates(experiments, size, gamma, grid, transfer_tolerance)
    curves = _record_curves(experiments, size, gamma, _choose_eta(transfer, grid) if eta is None else eta, steps)
    spread = size_spread(curves.sharpness, tolerance, what=f"sharpness, {size} {sizes[0]} to {sizes[-1]}, eta {curves.attrs['eta']:.3g}")
    return SuperConsistency(curves, spread, transfer)


def _choose_eta(transfer: Check, grid: np.ndarray) -> float:
    """Return a quarter of the best rate: the geometric mean over seeds, of which no missing one moves it, the least over sizes."""
    logs = np.log10(transfer.data["value"].sel(quantity="best eta").transpose("seed", ...).values)
    logs = logs[:, np.isfinite(logs).any(axis=0)]
    if not logs.size:
        raise Misuse(f"scan must hold the best eta of at least one size, or eta must be given; none is inside {grid[0]:g} to {grid[-1]:g}")
    return float(BELOW * 10 ** fit_additive_means(logs).min())


def _record_curves(experiments: dict[int, DeepExperiment], size: str, gamma: float, eta: float, steps: tuple[int, ...]) -> xr.Dataset:
    """Return sharpness and loss in time of one run for each size and seed."""
    seeds = next(iter(experiments.values())).seeds
    observe = {"sharpness": measures.sharpness()}
    rows = [xr.concat([watch(e, gamma, eta, steps, observe, seed)[["sharpness", "loss"]].isel(run=0, drop=True)
                       for e in experiments.values()], size) for seed in seeds]
    found = xr.concat(rows, "seed").assign_coords({"seed": list(seeds), size: list(experiments)}).transpose("seed", size, "step", "time")
    found.attrs = {"gamma": gamma, "eta": float(eta)}
    return found
