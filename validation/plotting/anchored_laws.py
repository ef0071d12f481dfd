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
    level : its curve stands wherever it predicts one; None: nowhere.
    """

    def __init__(self, prediction: Prediction, stretches: Iterable[tuple[float, float, float]], level: Prediction | None = None) -> None:
        self.prediction, self.stretches, self.level = prediction, tuple(stretches), level
        self.name, self.label, self.source = prediction.name, prediction.label, prediction.source
        self.drawn = "predicted slope" if level is None else level.drawn if not self.stretches else f"{level.drawn}, then slope"

    def __call__(self, gamma: Any, steps: int = 1000, rho: float = 0.01) -> np.ndarray:
        """Return the anchored eta at each gamma (shape of `gamma`)."""
        gamma = np.asarray(gamma, dtype=np.float64)
        eta = np.full(gamma.shape, np.nan)
        for low, high, factor in self.stretches:
            eta = np.where((gamma >= low * (1 - 1e-9)) & (gamma <= high * (1 + 1e-9)), factor * self.prediction(gamma, steps, rho), eta)
        if self.level is None:
            return eta
        curve = self.level(gamma, steps, rho)
        return np.where(np.isfinite(curve), curve, eta)

    def exponent(self, regime: str) -> Any:
        """Return the prediction's exponent."""
        return self.prediction.exponent(regime)


def anchor_laws(predictions: Mapping[str, Any], assessments: Iterable[Assessment],
                levels: Mapping[str, Prediction] | None = None) -> dict[str, Any]:
    """Return the predictions; those without a prefactor are anchored at the fitted edges, or left out where none was fitted.

    Parameters
    ----------
    predictions : by edge.
    assessments : of their laws.
    levels : by edge, curves with a prefactor of part of the gammas, which stand there in place of a law's.
    """
    assessments, levels = list(assessments), levels or {}
    anchored = {}
    for name, prediction in predictions.items():
        if not getattr(prediction, "free_prefactor", False):
            anchored[name] = prediction
            continue
        stretches, level = [], levels.get(name)
        for a in assessments:
            if a.edge == name and a.fit.outcome is FitOutcome.FITTED and (
                    level is None or np.isnan(level.log10(a.fit.gamma, a.fit.steps, a.fit.rho)).all()):
                middle = 0.5 * (np.log10(a.fit.lower) + np.log10(a.fit.upper))
                off = middle - np.log10(prediction(a.fit.gamma))
                stretches.append((*a.fit.window, float(10 ** np.mean(off[np.isfinite(off)]))))
        if stretches or level is not None:
            anchored[name] = Anchored(prediction, stretches, level)
    return anchored
