"""The classes of periods that a map of attractors shows: the shortest, chaos, divergence."""

from __future__ import annotations

import numpy as np

from validation.outcome import Outcome
from validation.plotting.style import COLOURS

# the colour of each class, darker for a shorter period, so that the map survives a grey printer; from the top of a plane downwards
CLASSES = {"diverged": COLOURS[Outcome.DIVERGED], "chaotic": "#d95f1e", "not settled": "#ffffff", "longer period": "#fbe3b4",
           "period 8": "#d9eff0", "period 4": "#8cc5d9", "period 3": "#e6b0d0", "period 2": "#4b8fc4", "period 1": "#123f73"}
CODES = {-1: "diverged", 0: "chaotic", -2: "not settled", 1: "period 1", 2: "period 2", 3: "period 3", 4: "period 4", 8: "period 8"}


def classify_periods(period: np.ndarray) -> np.ndarray:
    """Return the index in `CLASSES` of each period of `toymodels.orbit` (any shape)."""
    names = list(CLASSES)
    index = np.full(period.shape, names.index("longer period"))
    for value, name in CODES.items():
        index[period == value] = names.index(name)
    return index
