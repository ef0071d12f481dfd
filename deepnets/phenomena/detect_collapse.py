"""Collapse: loss curves of all rich gammas are one in tau = eta t/gamma."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from validation.arguments import Misuse, axis, between, numbers, positive
from validation.fitting.result import FitOutcome
from validation.fitting.time_collapse import CollapseFit, fit_collapse

TOLERANCE = 0.1        # of the exponent
APART = 0.02           # of the variance: the share that may remain between the curves


@dataclass(frozen=True)
class Collapse:
    """The exponent a of the time ``eta t/gamma^a`` in which curves collapse.

    Attributes
    ----------
    fit : the fitted exponent, with interval and score.
    claimed : the claimed exponent.
    off : the fitted exponent less the claimed one.
    fired : whether both agree within the tolerance, and the curves collapse.
    """

    fit: CollapseFit
    claimed: float
    off: float
    fired: bool

    @property
    def sentence(self) -> str:
        """The collapse in one line."""
        return f"{'collapse' if self.fired else 'no collapse'} in eta t/gamma^{self.claimed:g}: {self.fit.sentence}"


def collapse(loss: ArrayLike, gamma: ArrayLike, eta: ArrayLike, zero_output_loss: ArrayLike | None = None, claimed: float = 1.0,
             tolerance: float = TOLERANCE) -> Collapse:
    """Detect whether loss curves at different gamma collapse in ``tau = eta t/gamma^claimed``: 1 in the rich regime, 2 in the lazy one.

    Parameters
    ----------
    loss : (T + 1, P), of one run for each gamma, before every step and after the last; curves end where they diverge.
    gamma, eta : (P,), gamma increasing; eta of SGD.
    zero_output_loss : (T + 1,), of the same batches; None: the first loss of each run.
    claimed : the exponent of gamma.
    tolerance : of the exponent, above 0.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.
    """
    between("claimed", claimed, -np.inf, np.inf)
    between("tolerance", tolerance, 0, np.inf)
    g, rate, losses = axis("gamma", getattr(gamma, "values", gamma)), positive("eta", getattr(eta, "values", eta)), as_runs(loss)
    if losses.shape[1:] != g.shape or rate.shape != g.shape:
        raise Misuse(f"loss must be (T + 1, P) with P gammas and etas, not {losses.shape} with {g.shape} and {rate.shape}")
    if zero_output_loss is None:
        excess = losses / losses[:1]
    else:
        excess = losses / numbers("zero_output_loss", getattr(zero_output_loss, "values", zero_output_loss))[:, None]
    steps = np.unique(np.round(np.geomspace(1, len(losses) - 1, 200)).astype(int))
    fit = fit_collapse(excess[steps].T, rate[:, None] * steps, g)
    off = fit.exponent - claimed
    return Collapse(fit, claimed, off, bool(fit.outcome is FitOutcome.FITTED and abs(off) <= tolerance and fit.score <= APART))


def as_runs(loss: ArrayLike) -> np.ndarray:
    """Return losses (T + 1, P) as float64, NaN from where a run diverged; otherwise raise `Misuse`."""
    losses = numbers("loss", getattr(loss, "values", loss))
    if losses.ndim != 2 or len(losses) < 2 or losses.shape[1] < 1 or not (losses[0] > 0).all():
        raise Misuse(f"loss must be (T + 1, P) with T >= 1 and above zero at the start, not of shape {losses.shape}")
    return np.where(np.logical_and.accumulate(np.isfinite(losses)), losses, np.nan)
