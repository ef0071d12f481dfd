"""The stairs of a deep linear network: their times and the plateaus between them, and its edges, from those of one parameter.

Along gradient flow mode k does what `OneParameter(L)` does at richness ``gamma s_k``, in a time that is ``lambda_k s_k**2`` times as
long. The loss is the sum of the modes' losses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from toymodels.models import OneParameter
from toymodels.modes import Modes
from toymodels.theory.flow_time import gradient_flow_time, solve_flow_excess
from toymodels.theory.roots import solve_falling
from validation.arguments import between, positive

HALF = 0.25      # the excess of a mode whose f_k is half of its target


def find_stair_times(modes: Modes, gamma: ArrayLike, excess: float = HALF) -> np.ndarray:
    """Return eta t at which each mode's own excess loss falls to a given one; 1/4: f_k is half of s_k.

    Exact for gradient flow. At gamma >> 1 and L >= 3 it tends to ``gamma/(L (L - 2) lambda_k s_k)``, the escape from the saddle.

    Parameters
    ----------
    modes : the network.
    gamma : richness, any shape, > 0.
    excess : in (0, 1).

    Returns
    -------
    eta t (..., k), in units of eta.
    """
    g, s = positive("gamma", gamma)[..., None], np.array(modes.strengths)
    return gradient_flow_time(OneParameter(modes.depth), "mse", g * s, between("excess", excess, 0, 1)) / modes.speeds


def find_plateaus(modes: Modes) -> tuple[np.ndarray, np.ndarray]:
    """Return the order in which modes are learnt when rich, and the excess after each of them is (k,), both.

    The first mode to go is that of the largest ``lambda_k s_k``. A plateau is flat only if the next mode is much slower.
    """
    order = np.argsort(-np.array(modes.curvatures) * np.array(modes.strengths), kind="stable")
    return order, np.clip(1 - np.cumsum(modes.shares[order]), 0, None)


def follow_flow(modes: Modes, gamma: float, times: ArrayLike) -> np.ndarray:
    """Return the excess of every mode along gradient flow (..., k) at values of eta t (...), at one gamma."""
    tau = np.asarray(times, dtype=float)[..., None] * modes.speeds
    return solve_flow_excess(modes.depth, gamma * np.array(modes.strengths), tau)[0]


def solve_training_time(modes: Modes, gamma: ArrayLike, rho: float) -> np.ndarray:
    """Return eta T at which the sum of the modes' losses has fallen to rho of the first (shape of gamma)."""
    g = positive("gamma", gamma)
    between("rho", rho, 0, 1)
    times = find_stair_times(modes, g, rho)
    richness, logit = g[..., None] * np.array(modes.strengths), None

    def evaluate(log_time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nonlocal logit
        tau = np.exp(log_time)[..., None] * modes.speeds
        excess, fall = solve_flow_excess(modes.depth, richness, tau, logit)
        logit, sum_of = np.log(excess / (1 - excess)), excess @ modes.shares
        return np.log(sum_of / rho), (excess * fall * tau) @ modes.shares / sum_of

    # at the first no mode has less, at the last none has more than rho
    low, high = np.log(times.min(-1)), np.log(times.max(-1))
    return np.exp(solve_falling(evaluate, low, high, (low + high) / 2, 1e-12))


def find_stability(modes: Modes, gamma: ArrayLike) -> np.ndarray:
    """Return eta_max, ``2 gamma^2/(L^2 max_k lambda_k (1 + gamma s_k)^(2 - 2/L))``: the sharpest mode is the first to oscillate."""
    g, L = positive("gamma", gamma)[..., None], modes.depth
    s, curvatures = np.array(modes.strengths), np.array(modes.curvatures)
    with np.errstate(over="ignore"):
        return np.min(2 * g**2 / (L**2 * curvatures * np.exp((2 - 2 / L) * np.log1p(g * s))), axis=-1)


def find_alignment(modes: Modes, slopes: np.ndarray) -> np.ndarray:
    """Return the alignment of the kernel with the task, ``y K y/(|K| |y|^2)`` in the Frobenius norm; slopes ``df_k/dw_k`` (..., k).

    1/sqrt(k) for k modes of equal kernel; 1 where one mode alone has learnt and carries the task.
    """
    kernel: Any = np.array(modes.curvatures) * slopes**2
    return (kernel @ modes.shares) / np.sqrt((kernel**2).sum(-1))
