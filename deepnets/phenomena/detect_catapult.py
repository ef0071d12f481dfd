"""Catapults: a loss that rises while curvature falls, and then trains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from deepnets.phenomena.loss_curves import as_loss, as_snapshots
from deepnets.run_outcomes import CATAPULT_PEAK
from validation.arguments import between


@dataclass(frozen=True)
class Catapult:
    """A peak of the loss, and the sharpness on its two sides.

    Attributes
    ----------
    peak : the largest excess, over the first loss.
    at : the step of the peak.
    final : the last excess; infinite where the run diverged.
    before, after : the first and the last sharpness, in units of 2/eta: a quadratic trains below 1. NaN if not measured.
    fired : whether the peak exceeds 1.05 and the run trained.
    """

    peak: float
    at: float
    final: float
    before: float
    after: float
    fired: bool

    @property
    def sentence(self) -> str:
        """The catapult in one line."""
        if not self.fired:
            return f"no catapult: the excess peaks at {self.peak:.4g} and ends at {self.final:.3g}"
        seen = "" if np.isnan(self.before) else f"; sharpness eta lambda/2 from {self.before:.3g} to {self.after:.3g}"
        return f"catapult: the excess peaks at {self.peak:.4g} at step {self.at:g} and ends at {self.final:.3g}{seen}"


def catapult(loss: ArrayLike, zero_output_loss: ArrayLike | None = None, sharpness: ArrayLike | None = None,
             step: ArrayLike | None = None, rho: float = 0.5, least: float = 0.0) -> Catapult:
    """Detect a catapult (Lewkowycz et al. 2020) by the rule of portraits: peak excess above 1.05, last excess at most rho.

    Parameters
    ----------
    loss : (T + 1,), before every step and after the last.
    zero_output_loss : (T + 1,), of the same batches, where they differ: the excess is then of ten-step means; None: full batches.
    sharpness : (S,), ``eta lambda/2`` at the steps `step`, as `measures.sharpness` gives it; None: not measured.
    step : (S,), from 0.
    rho : the excess at which a run counts as trained.
    least : the least possible loss: for targets that are probabilities, their mean entropy.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    Examples
    --------
    >>> from deepnets.phenomena import catapult
    >>> catapult([1.0, 3.0, 0.5, 0.1]).sentence
    'catapult: the excess peaks at 3 at step 1 and ends at 0.1'
    """
    between("rho", rho, 0, 1)
    steps, excess = as_loss(loss, zero_output_loss, least)
    seen = np.full(2, np.nan) if sharpness is None else as_snapshots("sharpness", sharpness, step)[1]
    top = int(np.argmax(excess))
    peak, final = float(excess[top]), float(excess[-1])
    return Catapult(peak, float(steps[top]), final, float(seen[0]), float(seen[-1]), bool(peak > CATAPULT_PEAK and final <= rho))
