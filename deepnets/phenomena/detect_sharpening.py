"""Progressive sharpening: curvature that grows until it meets 2/eta."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from deepnets.phenomena.loss_curves import as_snapshots
from validation.arguments import between

LEAST = 2.0           # times its first value
EDGE = (0.8, 1.4)     # of eta lambda/2: the edge of stability; with fresh batches it ends at 0.9 to 1.4
LATE = 1 / 5          # of the snapshots: the last ones, whose mean is the final value


@dataclass(frozen=True)
class Sharpening:
    """Sharpness before and after training, in units of 2/eta.

    Attributes
    ----------
    first, final : ``eta lambda/2`` at the start, and its mean over the last fifth of the snapshots.
    growth : final over first.
    at_edge : whether it ends at the edge of stability, between 0.8 and 1.4.
    fired : whether it grew at least `least` times.
    """

    first: float
    final: float
    growth: float
    at_edge: bool
    fired: bool

    @property
    def sentence(self) -> str:
        """The sharpening in one line."""
        return (f"{'' if self.fired else 'no '}progressive sharpening: eta lambda/2 from {self.first:.3g} to {self.final:.3g}"
                + (", the edge of stability" if self.at_edge else ""))


def sharpening(sharpness: ArrayLike, step: ArrayLike, least: float = LEAST) -> Sharpening:
    """Detect growth of the curvature during training, and whether it reached the edge of stability (Cohen et al. 2021).

    Parameters
    ----------
    sharpness : (S,), ``eta lambda/2`` at the steps `step`, as `measures.sharpness` gives it.
    step : (S,), from 0.
    least : the least growth, above 1, that is called sharpening.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    Examples
    --------
    >>> from deepnets.phenomena import sharpening
    >>> sharpening([0.1, 0.5, 1.0], [0, 10, 20]).sentence
    'progressive sharpening: eta lambda/2 from 0.1 to 1, the edge of stability'
    """
    between("least", least, 1, np.inf)
    _, values = as_snapshots("sharpness", sharpness, step)
    first, final = float(values[0]), float(values[-max(1, round(LATE * len(values))):].mean())
    return Sharpening(first, final, final / first, EDGE[0] <= final <= EDGE[1], final / first >= least)
