"""Silent alignment: the kernel aligns with the labels before the loss falls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from deepnets.phenomena.loss_curves import as_loss, as_snapshots
from validation.arguments import between

DROP = 0.1       # of the fall of the loss: before, the loss is on its plateau
LEAST = 1.5      # times its first value: what the alignment must have reached by then


@dataclass(frozen=True)
class SilentAlignment:
    """Growth of the alignment before the loss fell.

    Attributes
    ----------
    until : the step at which a tenth of the fall is done; NaN where the run did not train.
    gained : the alignment at that step over the first.
    in_all : the last alignment over the first.
    fired : whether it had grown by half by then.
    """

    until: float
    gained: float
    in_all: float
    fired: bool

    @property
    def sentence(self) -> str:
        """The alignment in one line."""
        if np.isnan(self.until):
            return f"silent alignment is not judged: the run did not train; its alignment ends at {self.in_all:.3g} times its first value"
        return (f"{'' if self.fired else 'no '}silent alignment: after 10% of the loss's fall, at step {self.until:.4g}, the alignment is "
                f"{self.gained:.3g} times its first value; at the end, {self.in_all:.3g} times")


def silent_alignment(loss: ArrayLike, alignment: ArrayLike, step: ArrayLike, zero_output_loss: ArrayLike | None = None,
                     least: float = LEAST, rho: float = 0.5) -> SilentAlignment:
    """Detect whether a kernel had aligned with the labels before 10% of the loss's fall was done (Atanasov et al. 2022; Appendix P).

    Centre the targets first: the mean of one-hot rows is learned before everything else, and makes up 1/C of the loss of C balanced
    classes.

    Parameters
    ----------
    loss : (T + 1,), before every step and after the last.
    alignment : (S,), at the steps `step`; in the nuclear norm it rises from the start (`measures.alignment`).
    step : (S,), from 0; the alignment at the fall is interpolated between them.
    zero_output_loss : (T + 1,), of the same batches, where they differ: the excess is then of ten-step means; None: full batches.
    least : the least growth, above 1, that is called alignment.
    rho : the excess at which a run counts as trained; a run that did not train is not judged.

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
    times, excess = as_loss(loss, zero_output_loss)
    steps, values = as_snapshots("alignment", alignment, step)
    in_all = float(values[-1] / values[0])
    if excess[-1] > rho:
        return SilentAlignment(np.nan, np.nan, in_all, False)
    until = find_time_of_share(times, excess, DROP)
    gained = float(np.interp(until, steps, values) / values[0])
    return SilentAlignment(until, gained, in_all, gained >= least)


def find_time_of_share(times: np.ndarray, excess: np.ndarray, share: float) -> float:
    """Return the first time at which a share of the fall from 1 to the last excess is done, interpolated."""
    level = 1 - share * (1 - float(excess[-1]))
    i = int(np.argmax(excess <= level))
    if i == 0:
        return float(times[0])
    before, after = float(excess[i - 1]), float(excess[i])
    part = (before - level) / (before - after) if np.isfinite(before) else 1.0
    return float(times[i - 1] + part * (times[i] - times[i - 1]))
