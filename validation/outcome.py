"""The outcomes of a training run, their definitions, and the order in which they take precedence."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

import numpy as np


class Outcome(IntEnum):
    """The outcome of a training run: the first whose definition holds, in the order of `PRECEDENCE`.

    Excess is ``(loss - least loss) / (first loss - least loss)``; the tail is the last T/10 steps, the last included.
    """

    sentence: str

    def __new__(cls, code: int, sentence: str) -> Outcome:
        """Create a member from its code and its definition in one sentence."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        return member

    UNRUN = -1, "not measured: left out by a refinement, or not run yet"
    UNTRAINED = 0, "bounded; the excess never left 1 by more than min(rho, 0.05)"
    PARTIAL = 1, "tail above rho, and the loss did not rise during the tail"
    CONVERGED = 2, "tail excess at most rho"
    CATAPULTED = 3, "converged after a catapult: the loss first rose above its start"
    OSCILLATING = 4, "bounded, tail above rho, and the loss rose during the tail (cycles, chaos)"
    STUCK = 5, "at the saddle: |w| < 1/2, tail above rho, and the loss changed by less than 1e-3 of itself over the tail"
    DIVERGED = 6, "non-finite, or a parameter beyond 1e30"
    DEAD = 7, "every unit is inactive, and the output is constant"
    FAILED = 8, "the run raised an error or ended its process; the traceback is stored with the portrait"

    @property
    def label(self) -> str:
        """The name in lower case, as in the portrait's ``flag_meanings``."""
        return self.name.lower()


PRECEDENCE = (Outcome.FAILED, Outcome.DIVERGED, Outcome.DEAD, Outcome.CATAPULTED, Outcome.CONVERGED,
              Outcome.UNTRAINED, Outcome.STUCK, Outcome.OSCILLATING, Outcome.PARTIAL)


def choose_outcome(holds: Mapping[Outcome, np.ndarray]) -> np.ndarray:
    """Return the outcome of every run: the first in the order of `PRECEDENCE` whose definition holds, else partial.

    Parameters
    ----------
    holds : for each outcome, bool, whether its definition holds for each run.

    Returns
    -------
    int8, of the shape of the arrays in `holds`.
    """
    order = [outcome for outcome in PRECEDENCE if outcome in holds]
    return np.select([holds[outcome] for outcome in order], order, Outcome.PARTIAL).astype(np.int8)
