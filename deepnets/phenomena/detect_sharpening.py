"""Progressive sharpening: curvature that grows until it meets 2/eta; knows curves, no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from deepnets.phenomena.loss_curves import as_looks
from validation.arguments import between

LEAST = 2.0           # times its first value
EDGE = (0.8, 1.4)     # of eta lambda/2: the edge of stability; batches of an online stream end at 0.9 to 1.4
LATE = 1 / 5          # of the looks: those that are the end


@dataclass(frozen=True)
class Sharpening:
    """What became of the sharpness, in units of 2/eta.

    Attributes
    ----------
    first, final : ``eta lambda/2`` at the start, and its mean over the last fifth of the looks.
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


def sharpening(sharpness: Any, step: Any, least: float = LEAST) -> Sharpening:
    """Tell whether curvature grew during training, and whether to the edge of stability (Cohen et al. 2021).

    Parameters
    ----------
    sharpness : (S,), ``eta lambda/2`` at the steps `step`, as `measures.sharpness` gives it.
    step : (S,), from 0.
    least : the growth, over 1, that is called sharpening.

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
    _, seen = as_looks("sharpness", sharpness, step)
    first, final = float(seen[0]), float(seen[-max(1, round(LATE * len(seen))):].mean())
    return Sharpening(first, final, final / first, EDGE[0] <= final <= EDGE[1], final / first >= least)
