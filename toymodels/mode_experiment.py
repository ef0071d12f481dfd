"""Train a deep linear network in its modes over a plane, or once with every step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from toymodels.models import OneParameter
from toymodels.modes import Modes
from toymodels.theory.mode_stairs import find_alignment
from toymodels.threads import run_in_threads
from validation.outcome import Outcome, choose_outcome
from validation.plane import Plane
from validation.portrait import empty

VARIABLES = ("outcome", "final_excess", "tail_excess", "peak_excess", "steps", "kernel_ratio", "rose")


def measure_modes(modes: Modes, plane: Plane, horizons: Sequence[int], tails: Sequence[int], factors: np.ndarray, rho: float,
                  leading: dict[str, np.ndarray]) -> xr.Dataset:
    """Return the portrait of a network's modes, with the variables of `toymodels.ToyExperiment`.

    Parameters
    ----------
    modes, plane : what is trained, and where.
    horizons, tails : the numbers of steps T after which runs are judged, and the first times of their tails.
    factors : of the schedule, (T,).
    rho : at which a run counts as converged.
    leading : the coordinates of the horizons, if they are a dimension.
    """
    boundaries = np.array(sorted({*horizons, *(t for t in tails if t > 0)}), dtype=np.int64)
    gamma, eta = plane.gamma, np.broadcast_to(plane.eta, plane.shape)
    size = (len(boundaries), *plane.shape)
    high, low, at = (np.empty(size) for _ in range(3))
    states, died = np.empty((*size, len(modes.strengths))), np.empty(plane.shape, np.int64)
    _train(modes, gamma, eta, boundaries, factors, high, low, at, states, died)
    portrait = empty(plane, leading, VARIABLES)
    for h, (T, tail) in enumerate(zip(horizons, tails, strict=True)):
        end, first = np.searchsorted(boundaries, (T, tail))
        chosen = {name: portrait[name].values.reshape(-1, *plane.shape)[h] for name in VARIABLES}
        _judge(modes, gamma, rho, T, (high[:end + 1], low[:end + 1], at[:end + 1]), first if tail > 0 else None, states[end], died, chosen)
    return portrait


def _train(modes: Modes, gamma: np.ndarray, eta: np.ndarray, boundaries: np.ndarray, factors: np.ndarray, high: np.ndarray,
           low: np.ndarray, at: np.ndarray, states: np.ndarray, died: np.ndarray) -> None:
    """Train the plane, rows in threads."""
    from toymodels.mode_kernels import compile_modes

    train = compile_modes(modes.depth)
    gammas = gamma[:, None] * np.array(modes.strengths)
    rates, curvatures = np.ascontiguousarray(eta / gamma[:, None] / gamma[:, None]), np.array(modes.curvatures)

    def train_row(i: int) -> None:
        row = slice(i, i + 1)
        train(gammas[row], rates[row], curvatures, modes.shares, boundaries, factors, high[:, row], low[:, row], at[:, row], states[:, row],
              died[row])

    run_in_threads(train_row, [(i,) for i in range(gamma.size)])


def _judge(modes: Modes, gamma: np.ndarray, rho: float, T: int, seen: tuple[np.ndarray, np.ndarray, np.ndarray], first: int | None,
           u: np.ndarray, died: np.ndarray, written: dict[str, np.ndarray]) -> None:
    """Write the variables of one horizon from the extremes between boundaries and the excess at them, each (b, n, m)."""
    high, low, at = seen
    final = at[-1]
    begin = at[first] if first is not None else np.ones_like(final)       # of the tail
    later = slice(first + 1 if first is not None else 0, None)
    with np.errstate(invalid="ignore", over="ignore"):
        tail = np.maximum(np.max(high[later], axis=0, initial=-np.inf), final)
        least_of_tail = np.minimum(np.min(low[later], axis=0, initial=np.inf), final)
        peak, least = np.maximum(high.max(0), final), np.minimum(low.min(0), final)
        gone = (died <= T) | ~np.isfinite(final)
        rose = ~((begin >= tail) & (final <= least_of_tail))
        # the kernel's trace, over that at the minimum
        w = 1 + gamma[:, None, None] * np.array(modes.strengths) * u
        best = np.exp((2 - 2 / modes.depth) * np.log1p(gamma[:, None] * np.array(modes.strengths)))
        ratio = (w ** (2 * modes.depth - 2) @ np.array(modes.curvatures)) / (best @ np.array(modes.curvatures))[:, None]
        near = min(rho, 0.05)
        outcome = choose_outcome({
            Outcome.DIVERGED: gone, Outcome.CATAPULTED: (tail <= rho) & (peak > 1), Outcome.CONVERGED: tail <= rho,
            Outcome.UNTRAINED: (least >= 1 - near) & (peak <= 1 + near), Outcome.OSCILLATING: rose})
    lost = {"outcome": Outcome.DIVERGED, "final_excess": np.inf, "tail_excess": np.inf, "peak_excess": np.inf, "kernel_ratio": np.nan,
            "rose": 1, "steps": np.minimum(died, T)}
    values = {"outcome": outcome, "final_excess": final, "tail_excess": tail, "peak_excess": peak, "kernel_ratio": ratio, "rose": rose,
              "steps": np.full(final.shape, T)}
    for name, value in values.items():
        written[name][...] = np.where(gone, lost[name], value)


def follow_modes(modes: Modes, gamma: float, eta: float, factors: np.ndarray) -> xr.Dataset:
    """Return one run of a network's modes, step by step (see `toymodels.trajectory`), in float64 by numpy.

    Dataset over ``step`` (0..T) and ``mode``: ``f`` and ``w``, ``excess`` of every mode, the ``loss`` of all and its share ``total``, and
    the ``alignment`` of the kernel with the task.
    """
    from toymodels.simulate import trajectory

    T = len(factors)
    runs = [trajectory(OneParameter(modes.depth), "mse", "sgd", gamma * s, eta * c * s**2, T, factors.tolist())
            for s, c in zip(modes.strengths, modes.curvatures, strict=True)]
    one = xr.concat(runs, xr.Variable("mode", np.arange(1, len(runs) + 1)), coords="minimal", compat="override").transpose("step", "mode")
    strengths, first = np.array(modes.strengths), float(modes.speeds.sum()) / 2
    with np.errstate(all="ignore"):      # a run may diverge
        total = one["excess"].values @ modes.shares
        slopes = modes.depth * one["w"].values ** (modes.depth - 1) / gamma
        alignment = find_alignment(modes, slopes)
    return xr.Dataset(
        {"f": (("step", "mode"), one["f"].values * strengths, {"long_name": "centred, rescaled output of a mode", "units": "1"}),
         "w": (("step", "mode"), one["w"].values, {"long_name": "weight", "units": "1"}),
         "excess": (("step", "mode"), one["excess"].values, {"long_name": "excess loss of a mode", "units": "1"}),
         "total": ("step", total, {"long_name": "excess loss", "units": "1"}),
         "loss": ("step", first * total, {"long_name": "loss", "units": "1"}),
         "alignment": ("step", alignment, {"long_name": "alignment of the kernel with the task", "units": "1"})},
        {"step": np.arange(T + 1), "mode": one["mode"].values, "strength": ("mode", strengths),
         "curvature": ("mode", np.array(modes.curvatures)), "gamma": gamma, "eta": eta}, {"steps": T, "dtype": "float64", "device": "cpu"})
