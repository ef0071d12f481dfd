"""Power laws without a predicted prefactor, anchored at the measured edges so that they can be drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from validation.fitting.result import FitOutcome
from validation.judging.assessment import Assessment
from validation.prediction import Prediction


class Anchored(Prediction):
    """The power laws of one edge, each with the prefactor measured in its window; NaN elsewhere.

    Parameters
    ----------
    prediction : gives the exponents.
    stretches : (low, high, factor), the windows in gamma and the factors on `prediction` there.
    """

    drawn = "predicted slope"

    def __init__(self, prediction: Prediction, stretches: Iterable[tuple[float, float, float]]) -> None:
        self.prediction, self.stretches = prediction, tuple(stretches)
        self.name, self.label, self.source = prediction.name, prediction.label, prediction.source

    def __call__(self, gamma: Any, steps: int = 1000, rho: float = 0.01) -> np.ndarray:
        """Return the anchored eta at each gamma (shape of `gamma`)."""
        gamma = np.asarray(gamma, dtype=np.float64)
        eta = np.full(gamma.shape, np.nan)
        for low, high, factor in self.stretches:
            eta = np.where((gamma >= low * (1 - 1e-9)) & (gamma <= high * (1 + 1e-9)), factor * self.prediction(gamma, steps, rho), eta)
        return eta

    def exponent(self, regime: str) -> Any:
        """Return the prediction's exponent."""
        return self.prediction.exponent(regime)


def anchor_laws(predictions: Mapping[str, Any], assessments: Iterable[Assessment]) -> dict[str, Any]:
    """Return the predictions; those without a prefactor are anchored at the fitted edges, or left out where none was fitted."""
    assessments = list(assessments)
    anchored = {}
    for name, prediction in predictions.items():
        if not getattr(prediction, "free_prefactor", False):
            anchored[name] = prediction
            continue
        stretches = []
        for a in assessments:
            if a.edge == name and a.fit.outcome is FitOutcome.FITTED:
                middle = 0.5 * (np.log10(a.fit.lower) + np.log10(a.fit.upper))
                off = middle - np.log10(prediction(a.fit.gamma))
                stretches.append((*a.fit.window, float(10 ** np.mean(off[np.isfinite(off)]))))
        if stretches:
            anchored[name] = Anchored(prediction, stretches)
    return anchored
