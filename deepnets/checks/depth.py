"""The depth check: the change of function and residual stream, and the top learning rate, over the number of blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from deepnets.checks.coordinate import NO_CHANGE
from deepnets.checks.movement import measure_movement
from deepnets.checks.size_checks import Check, assemble_check, build_experiments
from deepnets.experiment import DeepExperiment
from deepnets.tasks import Task
from validation.arguments import Misuse, axis, between, whole
from validation.experiment import Experiment
from validation.judging.slopes_over_seeds import judge_flat
from validation.tracing import trace

PER_DECADE, RTOL = 4, 0.1        # of the scan for the top eta, and of its bracket


def depth_check(network_of_blocks: Callable[[int], Any], task: Task, blocks: Sequence[int] = (2, 4, 8, 16), gamma: float = 1.0,
                eta: float = 1.0, early: int = 5, scan: tuple[float, float] = (1e-2, 1e3), tolerance: float = 0.25,
                rate_width: Callable[[int], int] | None = None, **training: Any) -> Check:
    """Measure how learning depends on the number of residual blocks: not at all under Depth-muP.

    Three quantities, each with its slope of log10 on log10 blocks: the root mean square change of the function and of the last hidden
    activation (what the last layer reads: the residual stream) after a few steps, and the top eta, the highest that still trains. Where
    branches are not scaled down (alpha = 0) the first two rise and the last falls, by 0.4 to 1 decade a doubling, a slope of -1.3 to -3
    (Bordelon et al., arXiv 2309.16620; Noci et al., arXiv 2402.17457).

    Parameters
    ----------
    network_of_blocks : blocks -> a specification, or a callable seed -> torch.nn.Module.
    task : one of `deepnets.tasks`.
    blocks : at least four, increasing.
    gamma : > 0.
    eta : > 0, of the few steps.
    early : steps after which function and stream are compared with the initial ones.
    scan : (low, high), the rates between which the top eta is searched, first at four a decade, then to a tenth.
    tolerance : the slope that still counts as none; from 2 to 16 blocks the stream has one of about 0.1 (a correction of order 1/blocks).
    rate_width : blocks -> the N of the rate N eta; None: a specification's own, and 1 of a module.
    training : further fields of `DeepExperiment`; ``steps`` (in which the top eta trains) is 40, ``seeds`` are 0 to 5 and
        ``batch_size`` is 32 unless given.

    Returns
    -------
    Check : verdicts for "function", "stream" and "top eta"; SUPPORTED if the 90% interval over the seeds lies within the tolerance,
        CONTRADICTED if the 95% interval lies outside. Its `data` holds what was measured, (quantity, seed, blocks).

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    Examples
    --------
    ``depth_check(lambda n: deepnets.ResidualMLP(64, 32, n, 10), deepnets.tasks.digits())`` is SUPPORTED after about 20 s on one core.
    """
    gamma, eta = between("gamma", gamma, 0, np.inf), between("eta", eta, 0, np.inf)
    tolerance, early = between("tolerance", tolerance, 0, np.inf), whole("early", early)
    if np.size(scan) != 2:
        raise Misuse(f"scan must be two increasing rates above zero, not {scan!r}")
    low, high = axis("scan", scan)
    experiments = build_experiments(network_of_blocks, "blocks", blocks, task, rate_width,
                                    {"steps": 40, "seeds": tuple(range(6)), "batch_size": 32} | training)
    seeds = next(iter(experiments.values())).seeds
    found = [[measure_movement(e, gamma, eta, early, seed) for e in experiments.values()] for seed in seeds]
    ends = np.array([[_top(replace(e, seeds=(seed,)), gamma, low, high) for e in experiments.values()] for seed in seeds])
    bounds = np.log10(ends)                                                        # (seed, n, 2), NaN where beyond the scan
    values = {"function": np.array([[m.output for m in row] for row in found]),
              "stream": np.array([[m.read for m in row] for row in found]), "top eta": 10 ** bounds.mean(-1)}
    sizes = np.array(list(experiments), float)
    verdicts = {q: judge_flat(sizes, v, tolerance, q, "blocks", missing=NO_CHANGE) for q, v in values.items() if q != "top eta"}
    verdicts["top eta"] = judge_flat(sizes, values["top eta"], tolerance, "top eta", "blocks", off=np.diff(bounds)[..., 0] / 2,
                                     missing=f"no top eta between {low:g} and {high:g}")
    return assemble_check("depth", "blocks", experiments, seeds, verdicts, "slope of log quantity on log blocks", values)


def _top(experiment: DeepExperiment, gamma: float, low: float, high: float) -> np.ndarray:
    """Return the bracket of the highest rate that trains, NaN where there is none inside the scan; of one seed, (2,)."""
    edges = trace(_InSections(experiment), np.array([gamma]), "eta_max", rtol=RTOL, eta=(low, high), per_decade=PER_DECADE)
    return edges["eta"].sel(edge="eta_max").values.reshape(2)


class _InSections(Experiment):
    """An experiment whose brackets are cut at several rates at once: runs trained as one stack cost little more than one run."""

    sections = 6             # of a quarter of a decade leave no more than RTOL

    def __init__(self, experiment: DeepExperiment) -> None:
        self.experiment = experiment

    def describe(self) -> dict[str, Any]:
        """Return the experiment's description."""
        return self.experiment.describe()

    def measure(self, gamma: np.ndarray, eta: np.ndarray) -> xr.Dataset:
        """Return the experiment's portrait."""
        return self.experiment.measure(gamma, eta)
