"""Super-consistency: is sharpness in time the same at every width or depth, and does the best eta stay? Knows no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from deepnets.checks.size_slopes import Check, family, of_all
from deepnets.checks.transfer import default_rates, moves_of_best
from deepnets.experiment import DeepExperiment
from deepnets.phenomena import measures
from deepnets.phenomena.recorder import steps_of, watch
from deepnets.phenomena.size_spread import LEAST_SEEDS, TOLERANCE, Together, together
from deepnets.tasks import Task
from validation.arguments import Misuse, between, choose
from validation.judging.verdict import Verdict, VerdictOutcome

SIZES = ("width", "blocks")
BELOW = 1 / 4          # of the best eta: at it all sizes sit on the edge of stability, eta lambda/2 = 1, and look alike
LOOKS = 9


@dataclass(frozen=True, eq=False)
class SuperConsistency:
    """Sharpness in time over sizes, how far its curves are apart, and how far the best eta moves.

    Attributes
    ----------
    curves : `sharpness` (seed, size, step), ``N eta lambda/2``, and `loss` (seed, size, time); the dim of the sizes is "width" or
        "blocks". Attrs: gamma, and the eta of these runs.
    together : how far the curves of sharpness are apart, late in training.
    transfer : how far the best eta moves, in decades a doubling.
    """

    curves: xr.Dataset
    together: Together
    transfer: Check

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """Of "sharpness", in decades, and of "best eta", in decades a doubling."""
        return {"sharpness": self.together.verdict} | self.transfer.verdicts

    @property
    def outcome(self) -> VerdictOutcome:
        """SUPPORTED where the curves fall together and the best eta stays, CONTRADICTED where one of them surely does not."""
        return of_all(self.verdicts.values())

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
        apart = self.together
        return (f"{word} in {size} {sizes[0]} to {sizes[-1]} ({self.curves.sizes['seed']} seeds): sharpness apart by {apart.spread:.3f} "
                f"decades ({apart.interval[0]:.3f} to {apart.interval[1]:.3f}, seeds {apart.scatter:.3f}), {apart.verdict.outcome}; "
                f"the best eta moves by {best.measured:.3f} decades a doubling ({best.interval[0]:.3f} to {best.interval[1]:.3f}), "
                f"{best.outcome}")


def super_consistency(network_of_size: Callable[[int], Any], task: Task, sizes: Sequence[int], size: str = "width", gamma: float = 1.0,
                      eta: float | None = None, scan: Any = None, at: Sequence[int] | None = None, tolerance: float = TOLERANCE,
                      transfer_tolerance: float = 0.05, rate_width: Callable[[int], int] | None = None,
                      **training: Any) -> SuperConsistency:
    """Return how far sharpness in time, and the best eta, go with a network's width or depth (Noci et al., arXiv 2402.17457).

    Under muP sharpness in time does not go with the width, nor under Depth-muP with the depth, and the best eta transfers; under the NTK
    parametrization, whose gamma is that of muP times the root of the width, wider networks are lazier and sharpen less; without the
    branches' ``1/sqrt(blocks)`` deeper ones are sharper. Look in the rich regime or beside it: far below gamma = 1 curvature stays as it
    was at every width.

    Parameters
    ----------
    network_of_size : width or number of blocks -> a specification, such as ``lambda n: deepnets.MLP(64, n, 3, 10)``, or a callable
        seed -> torch.nn.Module.
    task : one of `deepnets.tasks`.
    sizes : at least four, increasing.
    size : what they are, "width" or "blocks"; a name, and nothing more.
    gamma : > 0, the same at every size, in the parametrization's own units.
    eta : > 0, of the runs that are looked at; None: a quarter of the least best eta of any size.
    scan : increasing rates, at least five, among which the best is looked for, by the least final loss of every seed; None: as of
        `deepnets.transfer_check`.
    at : steps after which to look, on the batch of the first step; None: nine, evenly spread from 0 to the last.
    tolerance : decades between sizes that still count as none, of sharpness; the last half of the looks counts.
    transfer_tolerance : decades a doubling that still count as none, of the best eta.
    rate_width : size -> the N of the rate N eta; None: a specification's own, and 1 of a module.
    training : further fields of `DeepExperiment`; ``steps`` is 100, ``seeds`` (0, 1, 2, 3), at least three, and ``batch_size`` 64 unless
        given. SignSGD and Adam have no sharpness in units of 2/eta and are refused.

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
    experiments = family(network_of_size, "size", sizes, task, rate_width,
                         {"steps": 100, "seeds": (0, 1, 2, 3), "batch_size": 64} | training)
    first = next(iter(experiments.values()))
    if len(first.seeds) < LEAST_SEEDS:
        raise Misuse(f"seeds must hold at least {LEAST_SEEDS}, over which there is an interval, not {first.seeds!r}")
    if first.optimizer.power != 2:
        raise Misuse(f"optimizer must be one that has sharpness in units of 2/eta, SGD or momentum, not {first.optimizer.name!r}")
    T = first.horizons[-1]
    steps = steps_of(np.unique(np.linspace(0, T, LOOKS).round()) if at is None else at, T)
    transfer = moves_of_best(experiments, size, gamma, grid, transfer_tolerance)
    curves = _watched(experiments, size, gamma, _below(transfer, grid) if eta is None else eta, steps)
    apart = together(curves.sharpness, tolerance, what=f"sharpness, {size} {sizes[0]} to {sizes[-1]}, eta {curves.attrs['eta']:.3g}")
    return SuperConsistency(curves, apart, transfer)


def _below(transfer: Check, grid: np.ndarray) -> float:
    """Return a rate below the best of every size: of seeds the geometric mean, of sizes the least."""
    logs = xr.apply_ufunc(np.log10, transfer.data["value"].sel(quantity="best eta"))
    best = 10 ** logs.mean("seed", skipna=True)
    if bool(best.isnull().all()):
        raise Misuse(f"scan must hold the best eta of one size at least, or eta be given; none is inside {grid[0]:g} to {grid[-1]:g}")
    return float(BELOW * best.min())


def _watched(experiments: dict[int, DeepExperiment], size: str, gamma: float, eta: float, steps: Sequence[int]) -> xr.Dataset:
    """Return sharpness and loss in time of one run for each size and seed."""
    seeds = next(iter(experiments.values())).seeds
    look = {"sharpness": measures.sharpness()}
    rows = [xr.concat([watch(e, gamma, eta, steps, look, seed)[["sharpness", "loss"]].isel(run=0, drop=True)
                       for e in experiments.values()], size) for seed in seeds]
    found = xr.concat(rows, "seed").assign_coords({"seed": list(seeds), size: list(experiments)}).transpose("seed", size, "step", "time")
    found.attrs = {"gamma": gamma, "eta": float(eta)}
    return found
