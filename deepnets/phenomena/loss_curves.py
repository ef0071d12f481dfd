"""Recorded curves as the detectors read them: a loss over its first value, looks at chosen steps; knows no phenomenon and no network."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepnets.run_outcomes import WINDOW, excesses
from validation.arguments import Misuse, between, numbers


def as_curve(name: str, values: Any, least: int = 2) -> np.ndarray:
    """Return one run's curve as float64, of at least `least` points; numbers that are not finite may be among them.

    Raises
    ------
    Misuse : no curve; a first value that is not finite.
    """
    curve = numbers(name, getattr(values, "values", values))
    if curve.ndim != 1 or len(curve) < least:
        raise Misuse(f"{name} must be one run's curve, of at least {least} points, not of shape {curve.shape}")
    if not np.isfinite(curve[0]):
        raise Misuse(f"{name} must be finite at the start, not {curve[0]!r}")
    return curve


def as_loss(loss: Any, at_rest: Any, least: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps taken and the excess there: of full batches, or, where the loss at rest is told, by ten-step means.

    Parameters
    ----------
    loss : (T + 1,), before every step and after the last.
    at_rest : (T + 1,), the loss of the zero output on the same batches; None: full batches, whose first loss it is.
    least : the least loss there can be: of targets that are probabilities, their mean entropy.

    Returns
    -------
    steps (windows,), the middles of the windows; excess (windows,), infinite from where the run diverged.
    """
    curve = as_curve("loss", loss)
    between("least", least, -np.inf, np.inf)
    if curve[0] <= least:
        raise Misuse(f"loss must start above the least there can be, {least:g}, not at {curve[0]:g}")
    curve = np.where(np.logical_and.accumulate(np.isfinite(curve)), curve, np.inf)
    if at_rest is None:
        return np.arange(len(curve), dtype=np.float64), (curve - least) / (curve[0] - least)
    rest = as_curve("at_rest", at_rest)
    if rest.shape != curve.shape or not (rest > least).all():
        raise Misuse(f"at_rest must be above the least loss, one number for each of the {len(curve)} losses, not {at_rest!r}")
    with np.errstate(over="ignore", invalid="ignore"):
        excess = excesses(curve[:, None] - least, rest - least)[:, 0]
    return np.arange(len(excess)) + (min(WINDOW, len(curve)) - 1) / 2, excess


def as_looks(name: str, values: Any, step: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps of looks, and what was seen, where it was: looks at a run that had diverged are left out.

    Raises
    ------
    Misuse : steps that do not increase from 0, or are not as many as the looks; numbers that are not above zero.
    """
    seen, steps = as_curve(name, values), as_curve("step", step)
    if seen.shape != steps.shape or steps[0] != 0 or not (np.diff(steps) > 0).all():
        raise Misuse(f"step must increase from 0, one number for each of the {len(seen)} looks, not {step!r}")
    kept = np.isfinite(seen)
    if seen[0] <= 0:
        raise Misuse(f"{name} must be above zero at the start, not {seen[0]:g}")
    return steps[kept], seen[kept]
