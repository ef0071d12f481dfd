"""What became of trained runs: excesses by ten-step means, the outcome, curves; knows no network and no torch.

The excess of a window of ten steps is its mean loss over that of the zero output on the same batches: the first loss, without the
noise of which batch came first. The least loss is 0.
"""

from __future__ import annotations

import numpy as np

from validation.outcome import Outcome

WINDOW = 10             # steps
CATAPULT_PEAK = 1.05    # the peak excess of a catapult
ROSE = 1.05             # the last window over the tail's first


def excesses(losses: np.ndarray, at_rest: np.ndarray) -> np.ndarray:
    """Return the excess of every window of ten steps (of all, if there are fewer), (windows, P).

    Parameters
    ----------
    losses : (T + 1, P).
    at_rest : (T + 1,), of the zero output.
    """
    window = min(WINDOW, len(losses))
    means = [np.lib.stride_tricks.sliding_window_view(x, window, axis=0).mean(-1) for x in (losses, at_rest)]
    return means[0] / means[1][:, None]


def curve_steps(steps: int, count: int) -> tuple[int, ...]:
    """Return `count` numbers of steps from 1 to `steps`, log-spaced and rounded; fewer, where they coincide. One alone is the last."""
    return tuple(int(t) for t in np.unique(np.round(np.geomspace(steps, 1, count)))) if count else ()


def curve(losses: np.ndarray, at: tuple[int, ...]) -> np.ndarray:
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


def judged(losses: np.ndarray, at_rest: np.ndarray, dead: np.ndarray, rho: float) -> dict[str, np.ndarray]:
    """Return the portrait's variables for P runs, each (P,).

    Parameters
    ----------
    losses, at_rest, dead : as `training.Trained` holds them.
    rho : the excess at which a run counts as trained.
    """
    steps = len(losses) - 1
    finite = np.isfinite(losses)
    diverged = ~finite.all(0)
    with np.errstate(invalid="ignore", over="ignore"):
        excess = excesses(np.where(finite, losses, np.inf), at_rest)
    tail = excess[-max(1, steps // 10):]
    found = {"final_excess": excess[-1], "tail_excess": tail.max(0), "peak_excess": excess.max(0)}
    found = {name: np.where(diverged, np.inf, values) for name, values in found.items()}
    found["steps"] = np.where(diverged, np.argmax(~finite, axis=0), steps).astype(np.int32)
    trained = found["tail_excess"] <= rho
    outcome = np.select(
        [diverged, dead, trained & (found["peak_excess"] > CATAPULT_PEAK), trained,
         np.abs(excess - 1).max(0) <= min(rho, 0.05), tail[-1] > ROSE * tail[0]],
        [Outcome.DIVERGED, Outcome.DEAD, Outcome.CATAPULTED, Outcome.CONVERGED, Outcome.UNTRAINED, Outcome.OSCILLATING],
        Outcome.PARTIAL)
    return found | {"outcome": outcome.astype(np.int8)}
