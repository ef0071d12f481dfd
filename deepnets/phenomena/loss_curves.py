"""Check recorded curves and convert them for the detectors: losses to excesses, snapshots to numbers above zero."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from deepnets.run_outcomes import WINDOW, excesses
from validation.arguments import Misuse, between, numbers


def as_curve(name: str, values: ArrayLike | None, least: int = 2) -> np.ndarray:
    """Return one run's curve as float64, of at least `least` points; all but the first may be infinite or NaN.

    Raises
    ------
    Misuse : not one curve; a first value that is not finite.
    """
    curve = numbers(name, getattr(values, "values", values))
    if curve.ndim != 1 or len(curve) < least:
        raise Misuse(f"{name} must be one run's curve, of at least {least} points, not of shape {curve.shape}")
    if not np.isfinite(curve[0]):
        raise Misuse(f"{name} must be finite at the start, not {curve[0]!r}")
    return curve


def as_loss(loss: ArrayLike, zero_output_loss: ArrayLike | None, least: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return steps and the excess loss there: of every step for full batches, of ten-step means where the batches differ.

    Parameters
    ----------
    loss : (T + 1,), before every step and after the last.
    zero_output_loss : (T + 1,), of the same batches; None: full batches, whose first loss it is.
    least : the least possible loss: for targets that are probabilities, their mean entropy.

    Returns
    -------
    steps (windows,), the middles of the windows; excess (windows,), infinite from where the run diverged.
    """
    curve = as_curve("loss", loss)
    between("least", least, -np.inf, np.inf)
    if curve[0] <= least:
        raise Misuse(f"loss must start above the least possible one, {least:g}, not at {curve[0]:g}")
    curve = np.where(np.logical_and.accumulate(np.isfinite(curve)), curve, np.inf)
    if zero_output_loss is None:
        return np.arange(len(curve), dtype=np.float64), (curve - least) / (curve[0] - least)
    zero = as_curve("zero_output_loss", zero_output_loss)
    if zero.shape != curve.shape or not (zero > least).all():
        raise Misuse(f"zero_output_loss must be above the least loss, one number for each of the {len(curve)} losses, "
                     f"not {zero_output_loss!r}")
    with np.errstate(over="ignore", invalid="ignore"):
        excess = excesses(curve[:, None] - least, zero - least)[:, 0]
    return np.arange(len(excess)) + (min(WINDOW, len(curve)) - 1) / 2, excess


def as_snapshots(name: str, values: ArrayLike, step: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps and the values of snapshots; those of a run that had diverged are left out.

    Raises
    ------
    Misuse : steps that do not increase from 0, or are not as many as the values; a first value that is not above zero.
    """
    curve, steps = as_curve(name, values), as_curve("step", step)
    if curve.shape != steps.shape or steps[0] != 0 or not (np.diff(steps) > 0).all():
        raise Misuse(f"step must increase from 0, one number for each of the {len(curve)} snapshots, not {step!r}")
    finite = np.isfinite(curve)
    if curve[0] <= 0:
        raise Misuse(f"{name} must be above zero at the start, not {curve[0]:g}")
    return steps[finite], curve[finite]
