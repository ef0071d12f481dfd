"""The edges of a deep linear network in its modes: when the sum of its losses has fallen, and when its sharpest mode is unstable."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from toymodels.modes import Modes
from toymodels.optimizers import Optimizer
from toymodels.schedules import Schedule
from toymodels.theory.mode_stairs import find_stability, solve_training_time
from validation.arguments import Misuse, choose
from validation.prediction import REGIMES, RHO, STEPS, Prediction


@dataclass(frozen=True)
class ModesEdge(Prediction):
    """A predicted edge of `Modes`: numbers, with the exponents of one parameter.

    Attributes
    ----------
    name, label, source : as in `validation.prediction.Prediction`.
    modes : the network.
    """

    name: str
    label: str
    source: str
    modes: Modes = field(default=Modes(2, (1.0,)))

    def __call__(self, gamma: Any, steps: int = STEPS, rho: float = RHO) -> np.ndarray:
        """Return the predicted eta at each gamma (shape of `gamma`); eta_min is NaN beyond eta_max, where no rate trains."""
        upper = find_stability(self.modes, gamma)
        if self.name == "eta_max":
            return upper
        lower = solve_training_time(self.modes, gamma, rho) / steps
        return np.where(lower < upper, lower, np.nan)

    def exponent(self, regime: str) -> Fraction:
        """Return 2 in the lazy regime; in the rich one 1 for eta_min at L >= 2, and 2/L for eta_max."""
        choose("regime", regime, REGIMES)
        L = self.modes.depth
        if regime == "lazy" or L == 1:
            return Fraction(2)
        return Fraction(1) if self.name == "eta_min" else Fraction(2, L)

    def family(self, regime: str) -> tuple[int, int] | None:
        """Return (2, L) for the rich eta_max, whose rivals belong to other depths."""
        return (2, self.modes.depth) if regime == "rich" and self.name == "eta_max" and self.modes.depth > 1 else super().family(regime)

    def logarithm(self, regime: str) -> bool:
        """Return whether it is eta_min of L = 2, with the logarithm of its escape."""
        return super().logarithm(regime) or (regime == "rich" and self.name == "eta_min" and self.modes.depth == 2)


def predict_modes(modes: Modes, loss: Any, optimizer: Optimizer, schedule: Schedule, noise: float,
                  batch: int | None) -> dict[str, ModesEdge]:
    """Return eta_min and eta_max of a network's modes; the arguments are those of `predict`.

    Raises
    ------
    Misuse : anything but MSE by SGD at a constant rate.
    """
    if (getattr(loss, "name", loss), optimizer.name, schedule.name, noise, batch) != ("mse", "sgd", "constant", 0, None):
        raise Misuse("loss must be 'mse', optimizer 'sgd' and schedule 'constant', without noise and batch, for Modes")
    texts: dict[str, tuple[str, str]] = {
        "eta_min": ("gradient flow of the sum", "section 4.1, mode by mode"),
        "eta_max": ("stability of the sharpest mode", "section 4.1, mode by mode")}
    return {name: ModesEdge(name, *text, modes) for name, text in texts.items()}
