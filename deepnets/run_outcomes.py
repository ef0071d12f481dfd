"""Outcomes of trained runs, their excess losses and loss curves, from ten-step means of the loss.

The excess of ten steps is their mean loss over that of the zero output on the same batches: in place of the first loss, which depends on
the first batch. The least loss is 0.
"""

from __future__ import annotations

import numpy as np

from validation.outcome import Outcome, choose_outcome

WINDOW = 10             # steps of a mean
CATAPULT_PEAK = 1.05    # the least peak excess of a catapult
ROSE = 1.05             # the loss rose if the tail's last mean exceeds this many times its first


def excesses(losses: np.ndarray, zero_output_loss: np.ndarray) -> np.ndarray:
    """Return the excess of every window of ten steps (of all, if there are fewer), (windows, P).

    Parameters
    ----------
    losses : (T + 1, P).
    zero_output_loss : (T + 1,).
    """
    window = min(WINDOW, len(losses))
    means = [np.lib.stride_tricks.sliding_window_view(x, window, axis=0).mean(-1) for x in (losses, zero_output_loss)]
    return means[0] / means[1][:, None]


def choose_curve_steps(steps: int, count: int) -> tuple[int, ...]:
    """Return `count` numbers of steps from 1 to `steps`, log-spaced and rounded, fewer where they coincide; a single one is the last."""
    return tuple(int(t) for t in np.unique(np.round(np.geomspace(steps, 1, count)))) if count else ()


def average_curve(losses: np.ndarray, at: tuple[int, ...]) -> np.ndarray:
    """Return the mean loss over the ten steps up to each of `at` (fewer at the start), (C, P), infinite where a run had diverged.

    Parameters
    ----------
    losses : (T + 1, P).
    at : numbers of steps.
    """
    finite = np.logical_and.accumulate(np.isfinite(losses), axis=0)
    losses = np.where(finite, losses, np.inf)
    with np.errstate(over="ignore"):
        return np.array([losses[max(0, t + 1 - WINDOW):t + 1].mean(0) for t in at]).reshape(len(at), losses.shape[1])


def judge_runs(losses: np.ndarray, zero_output_loss: np.ndarray, dead: np.ndarray, rho: float) -> dict[str, np.ndarray]:
    """Return the portrait's variables for P runs, each (P,).

    Parameters
    ----------
    losses, zero_output_loss, dead : see `training.TrainingResult`.
    rho : the excess at which a run counts as trained.
    """
    steps = len(losses) - 1
    finite = np.isfinite(losses)
    diverged = ~finite.all(0)
    with np.errstate(invalid="ignore", over="ignore"):
        excess = excesses(np.where(finite, losses, np.inf), zero_output_loss)
    tail = excess[-max(1, steps // 10):]
    values = {"final_excess": excess[-1], "tail_excess": tail.max(0), "peak_excess": excess.max(0)}
    values = {name: np.where(diverged, np.inf, v) for name, v in values.items()}
    values["steps"] = np.where(diverged, np.argmax(~finite, axis=0), steps).astype(np.int32)
    trained = values["tail_excess"] <= rho
    return values | {"outcome": choose_outcome({
        Outcome.DIVERGED: diverged, Outcome.DEAD: dead, Outcome.CATAPULTED: trained & (values["peak_excess"] > CATAPULT_PEAK),
        Outcome.CONVERGED: trained, Outcome.UNTRAINED: np.abs(excess - 1).max(0) <= min(rho, 0.05),
        Outcome.OSCILLATING: tail[-1] > ROSE * tail[0]})}
