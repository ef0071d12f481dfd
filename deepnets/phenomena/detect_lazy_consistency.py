"""Lazy consistency: below some gamma all loss curves at eta = c gamma^2 are the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from deepnets.phenomena.detect_collapse import as_runs
from validation.arguments import Misuse, axis, between

TOLERANCE = 0.01       # of the first loss


@dataclass(frozen=True, eq=False)
class LazyConsistency:
    """Deviations of runs from the one at the smallest gamma.

    Attributes
    ----------
    gamma : (P - 1,), of the other runs.
    deviations : (P - 1,), the largest difference of the losses, over the first loss; infinite where a run diverged.
    exponent : of gamma in the deviations, least squares on log axes; 1 is expected of smooth activations. NaN with fewer than two.
    until : the largest gamma up to which all deviations are within the tolerance; NaN: none.
    fired : whether all deviations are within the tolerance.
    """

    gamma: np.ndarray
    deviations: np.ndarray
    exponent: float
    until: float
    fired: bool

    @property
    def sentence(self) -> str:
        """The deviations in one line."""
        deviations = ", ".join(f"{d:.2g} at gamma {g:.2g}" for g, d in zip(self.gamma, self.deviations, strict=True))
        return f"{'lazily consistent' if self.fired else 'not lazily consistent'}: the loss deviates by {deviations}"


def lazy_consistency(loss: ArrayLike, gamma: ArrayLike, tolerance: float = TOLERANCE) -> LazyConsistency:
    """Detect whether runs at ``eta = c gamma^2`` agree with the linearised one, that of the smallest gamma.

    Parameters
    ----------
    loss : (T + 1, P), of one run for each gamma, all on the same batches, before every step and after the last.
    gamma : (P,), increasing, the first deep in the lazy regime.
    tolerance : of the deviations, above 0.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    Examples
    --------
    >>> from deepnets.phenomena import lazy_consistency
    >>> lazy_consistency([[1.0, 1.0, 1.0], [0.5, 0.501, 0.51]], [1e-6, 1e-3, 1e-2], tolerance=0.1).sentence
    'lazily consistent: the loss deviates by 0.001 at gamma 0.001, 0.01 at gamma 0.01'
    """
    between("tolerance", tolerance, 0, np.inf)
    g, losses = axis("gamma", getattr(gamma, "values", gamma)), as_runs(loss)
    if losses.shape[1:] != g.shape or len(g) < 2:
        raise Misuse(f"loss must be (T + 1, P) with P gammas, at least two, not {losses.shape} with {g.shape}")
    if not np.isfinite(losses[:, 0]).all():
        raise Misuse(f"loss must be finite at the smallest gamma, {g[0]:g}: the other runs are compared with this one")
    apart = np.abs(losses[:, 1:] - losses[:, :1]).max(0) / losses[0, 0]
    apart = np.where(np.isnan(apart), np.inf, apart)
    within = apart <= tolerance
    inside = int(np.argmin(np.r_[within, False]))
    fitted = np.isfinite(apart) & (apart > 0)
    exponent = float(np.polyfit(np.log(g[1:][fitted]), np.log(apart[fitted]), 1)[0]) if fitted.sum() > 1 else np.nan
    return LazyConsistency(g[1:], apart, exponent, float(g[inside]) if inside else np.nan, bool(within.all()))
