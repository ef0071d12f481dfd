"""Lay out the variables of a network's portrait, and compute them from the losses of trained runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from deepnets.losses import Loss
from deepnets.own_loss import warn_below_least
from deepnets.run_outcomes import average_curve, choose_curve_steps, judge_runs
from deepnets.training import TrainingResult
from validation.plane import Plane
from validation.portrait import REQUIRED, attributes, empty


def make_blank(plane: Plane, seeds: Sequence[int], steps: int | tuple[int, ...], curves: int, classes: bool) -> xr.Dataset:
    """Return the portrait in which every run is unrun.

    Parameters
    ----------
    plane, seeds, steps, curves : as of `deepnets.experiment.DeepExperiment`.
    classes : whether the task has any.
    """
    leading: dict[str, Any] = {"seed": list(seeds)} | ({"horizon": list(steps)} if isinstance(steps, tuple) else {})
    portrait = empty(plane, leading, (*REQUIRED, "final_accuracy") if classes else REQUIRED)
    if curves:
        at = choose_curve_steps(steps[-1] if isinstance(steps, tuple) else steps, curves)
        portrait = portrait.assign_coords(step=("step", list(at), {"long_name": "steps taken", "units": "1"}))
        for name in ("train_loss", "held_out_loss"):
            portrait[name] = (("seed", "step", "gamma", "eta"), np.full((len(seeds), len(at), *plane.shape), np.nan), attributes(name))
    return portrait


def compute_variables(result: TrainingResult, loss: Loss, horizons: tuple[int, ...], curves: int, classes: bool,
                      rho: float) -> dict[str, np.ndarray]:
    """Return the portrait's variables for P runs, (horizon, P) and (step, P).

    Parameters
    ----------
    result : of the runs.
    loss, horizons, curves, rho : as of `deepnets.experiment.DeepExperiment`.
    classes : whether the task has any.
    """
    above, zero = result.losses - loss.least, result.zero_output_loss - loss.least
    if not loss.closed_form:
        warn_below_least(loss, result.losses)
    each = [judge_runs(above[:T + 1], zero[:T + 1], result.dead[h], rho) for h, T in enumerate(horizons)]
    values = {name: np.stack([e[name] for e in each]) for name in each[0]}
    if classes:
        values["final_accuracy"] = result.accuracy
    if curves:
        values["train_loss"] = average_curve(result.losses, choose_curve_steps(horizons[-1], curves))
        values["held_out_loss"] = np.where(np.isfinite(values["train_loss"]), result.held_out, np.inf)
    return values
