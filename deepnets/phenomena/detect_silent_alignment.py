"""Silent alignment: the kernel turns to the labels while the loss stands still; knows curves, no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from deepnets.phenomena.loss_curves import as_looks, as_loss
from validation.arguments import between

DROP = 0.1       # of the fall of the loss: until then it stands still
LEAST = 1.5      # times its first value, by which the alignment must have grown until then


@dataclass(frozen=True)
class SilentAlignment:
    """How much of the alignment came before the loss fell.

    Attributes
    ----------
    until : the step at which a tenth of the fall is done; NaN where the run did not train.
    gained : the alignment there over the first.
    in_all : the last alignment over the first.
    fired : whether it had grown by half.
    """

    until: float
    gained: float
    in_all: float
    fired: bool

    @property
    def sentence(self) -> str:
        """The alignment in one line."""
        if np.isnan(self.until):
            return f"no silent alignment to be told: the run did not train, its alignment ends at {self.in_all:.3g} times the first"
        return (f"{'' if self.fired else 'no '}silent alignment: {self.gained:.3g} times the first when 10% of the loss's fall was done, "
                f"at step {self.until:.4g}; {self.in_all:.3g} times at the end")


def silent_alignment(loss: Any, alignment: Any, step: Any, at_rest: Any = None, least: float = LEAST,
                     rho: float = 0.5) -> SilentAlignment:
    """Tell whether a kernel had aligned with the labels before the loss fell by 10% of its fall (Atanasov et al. 2022; Appendix P).

    Centre the targets first: the mean of one-hot rows is learnt before all else, and is itself 1/C of the loss of C balanced classes.

    Parameters
    ----------
    loss : (T + 1,), before every step and after the last.
    alignment : (S,), at the steps `step`; the nuclear norm's is the one that rises from the start (`measures.alignment`).
    step : (S,), from 0; close enough to tell the alignment at the fall, which is interpolated between them.
    at_rest : (T + 1,), the loss of the zero output on the same batches, for ten-step means; None: full batches.
    least : the growth, over 1, that is called alignment.
    rho : the excess at which a run counts as trained: of a loss that hardly fell, a tenth of the fall says nothing.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    Examples
    --------
    >>> from deepnets.phenomena import silent_alignment
    >>> silent_alignment([1.0, 1.0, 1.0, 0.1], [0.1, 0.2, 0.3, 0.4], [0, 1, 2, 3]).fired
    True
    """
    between("least", least, 1, np.inf)
    between("rho", rho, 0, 1)
    times, excess = as_loss(loss, at_rest)
    steps, seen = as_looks("alignment", alignment, step)
    in_all = float(seen[-1] / seen[0])
    if excess[-1] > rho:
        return SilentAlignment(np.nan, np.nan, in_all, False)
    until = fallen(times, excess, DROP)
    gained = float(np.interp(until, steps, seen) / seen[0])
    return SilentAlignment(until, gained, in_all, gained >= least)


def fallen(times: np.ndarray, excess: np.ndarray, share: float) -> float:
    """Return when a share of the fall from 1 to the last excess is done for the first time, interpolated between two times."""
    level = 1 - share * (1 - float(excess[-1]))
    i = int(np.argmax(excess <= level))
    if i == 0:
        return float(times[0])
    before, after = float(excess[i - 1]), float(excess[i])
    part = (before - level) / (before - after) if np.isfinite(before) else 1.0
    return float(times[i - 1] + part * (times[i] - times[i - 1]))
