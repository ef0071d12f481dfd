"""Predict the edges of a model of one's own by numbers, uniformly in gamma: gradient flow's time, and the stability of its minimum.

Exponents are exact where sympy finds a limit (`own_limits.py`), and else those of the curve far out, each with an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from toymodels.optimizers import SGD, HeavyBall, Optimizer
from toymodels.own.flow import gradient_flow
from toymodels.own.functions import Generated, generate
from toymodels.own.loss import Loss
from toymodels.own.model import Model
from toymodels.schedules import CONSTANT, Constant, Schedule, total_factor
from toymodels.theory.own_limits import derive_limits
from validation.arguments import Misuse, between, choose, positive, whole
from validation.prediction import REGIMES, Prediction

GRID = np.linspace(-12, 12, 193)                 # log10 gamma of the curves on which windows are found
FAR = np.array([6.0, 8.0, 10.0])                 # decades from gamma = 1 at which exponents are measured
NO_UPPER_EDGE = ("eta_crit, eta_max and eta_div are not predicted under a schedule: where the rate falls, a run that was unstable may "
                 "still converge.")
LAZY_KERNEL, RICH_SLOPE = 5e-4, 1.1e-3           # change of the kernel, departure of its exponent, at which catapults set in above the edge


@dataclass(frozen=True)
class Law:
    """The power law of an edge in one regime.

    Attributes
    ----------
    exponent : a sympy Rational where it is exact, else a float.
    error : of the exponent; 0 where it is exact.
    logarithm : whether a logarithm multiplies the power.
    """

    exponent: Any
    error: float
    logarithm: bool

    def __str__(self) -> str:
        text = str(self.exponent) if self.error == 0 else f"{self.exponent:.6g} +- {self.error:.1g}"
        return text + (", with a logarithm" if self.logarithm else "")


class OwnEdge(Prediction):
    """One predicted edge of a model of one's own.

    Attributes
    ----------
    name, label, source, limits, holds : as of `edge.Edge`.
    generated : the functions of model and loss.
    factor : of the edge of stability ``factor/(l'' K)``; None for eta_min.
    schedule : of the rate, the sum of whose factors stands for T in eta_min.
    cap : gamma -> another edge, which is the edge where it is lower; NaN where nothing is predicted.
    """

    def __init__(self, name: str, label: str, source: str, generated: Generated, factor: float | None, closes: bool,
                 judged_below: float = np.inf, limits: str = "", schedule: Schedule = CONSTANT,
                 cap: Callable[[np.ndarray], np.ndarray] | None = None) -> None:
        self.name, self.label, self.source, self.limits = name, label, source, limits
        self.generated, self.factor, self.closes, self.judged_below = generated, factor, closes, judged_below
        self.schedule, self.cap = schedule, cap
        self.holds = (100, 1.0) if factor is None else (1000, 0.02)

    def __call__(self, gamma: ArrayLike, steps: int = 1000, rho: float = 0.01) -> np.ndarray:
        """Return the predicted eta, float64, in the shape of `gamma`; NaN where gradient flow does not reach the minimum, or beyond the
        closing point.
        """
        values, steps, rho = positive("gamma", gamma), whole("steps", steps), between("rho", rho, 0, 1)
        return np.where(values <= self.closing_point(steps, rho), self.numeric(values, steps, rho), np.nan)

    def numeric(self, gamma: np.ndarray, steps: int, rho: float) -> np.ndarray:
        """Return eta also beyond the closing point."""
        if self.factor is None:
            return gradient_flow(self.generated, gamma, rho)[0] / total_factor(self.schedule, steps)
        eta = self._curve(gamma)
        return eta if self.cap is None else np.minimum(eta, self.cap(gamma))

    def _curve(self, gamma: np.ndarray) -> np.ndarray:
        """Return a curve that is proportional to the edge."""
        if self.factor is None:
            return gradient_flow(self.generated, gamma, 0.01)[0] / 1000
        return self.factor / (self.generated.minimum.curvature * gradient_flow(self.generated, gamma)[1])

    def closing_point(self, steps: int = 1000, rho: float = 0.01) -> float:
        """Return the gamma at which eta_min meets eta_max, by interpolation; infinity if they do not meet, or where there is no eta_max."""
        if not self.closes:
            return np.inf
        time, kernel, _ = _curves(self.generated, rho)
        with np.errstate(all="ignore"):
            gap = np.log(time * kernel * self.generated.minimum.curvature / 2 / total_factor(self.schedule, steps))
        above = np.flatnonzero((gap[:-1] < 0) & (gap[1:] >= 0))
        if not above.size:
            return np.inf
        i = above[-1]
        return float(10 ** (GRID[i] + (GRID[i + 1] - GRID[i]) * gap[i] / (gap[i] - gap[i + 1])))

    @property
    def unjudged(self) -> tuple[float, float] | None:      # type: ignore[override]
        """The gammas between which the measured edge is another one.

        With several parameters the steps lower the kernel, and catapults set in above eta_crit: from where the kernel changes along the
        path to where it follows its rich power law. Of heavy ball, all beyond the lazy regime.
        """
        if self.factor is None:
            return None
        low, high = self.judged_below, np.inf
        if len(self.generated.model.start) > 1:
            lazy, rich = self._between
            low, high = min(low, lazy), rich
        elif low == np.inf:
            return None
        return (low, high) if low < high else None

    @cached_property
    def _between(self) -> tuple[float, float]:
        _, kernel, first = _curves(self.generated, 0.01)
        with np.errstate(all="ignore"):
            moves = ~(np.abs(kernel / first - 1) < LAZY_KERNEL)
            slope = np.gradient(np.log10(kernel), GRID)
        low = 10 ** GRID[int(np.argmax(moves))] if moves.any() else np.inf
        law = self._laws.get("rich")
        bent = np.flatnonzero(~(np.abs(slope + float(law.exponent)) < RICH_SLOPE)) if law is not None else np.array([len(GRID) - 1])
        return float(low), np.inf if bent.size and bent[-1] == len(GRID) - 1 else float(10 ** GRID[bent[-1] + 1]) if bent.size else 0.0

    @property
    def regimes(self) -> tuple[str, ...]:
        """The regimes in which there is a power law."""
        return tuple(self._laws)

    @cached_property
    def _laws(self) -> dict[str, Law]:
        found = {regime: law for regime in REGIMES if (law := self._measure_law(regime)) is not None}
        for regime, exact in self._derive_exponents().items():
            measured = found.get(regime)
            if measured is not None and abs(float(exact) - float(measured.exponent)) <= max(1e-3, 3 * measured.error):
                found[regime] = Law(exact, 0.0, False)
        return found

    def _measure_law(self, regime: str) -> Law | None:
        """Return the law that the curve follows far out, None where it follows none."""
        with np.errstate(all="ignore"):
            sign = -1.0 if regime == "lazy" else 1.0
            gamma = 10 ** (sign * FAR)
            h = 10.0**0.01
            near, middle, far = np.log10(self._curve(gamma * h) / self._curve(gamma / h)) / 0.02
        if not np.isfinite([near, middle, far]).all():
            return None
        first, second = middle - near, far - middle
        if abs(second) < 1e-7:
            return Law(float(far), float(abs(second) + 1e-9), False)
        if abs(second) < 0.5 * abs(first):      # a power of gamma: the geometric series is summed
            rest = second * second / (first - second)
            return Law(float(far + rest), float(abs(rest) + abs(second) * 0.1), False)
        # with a logarithm the local exponent is a + 1/(log gamma + c): (middle - far) = x (middle - a) (far - a)
        x = sign * np.log(10.0) * FAR
        roots = np.roots([1.0, -(middle + far), middle * far - (middle - far) / (x[2] - x[1])])
        fits = [(abs(r + 1 / (1 / (far - r) + x[0] - x[2]) - near), float(r)) for r in roots.real[np.abs(roots.imag) < 1e-12]]
        error, exponent = min(fits, default=(np.inf, 0.0))
        return Law(exponent, float(10 * error + 1e-6), True) if error < 1e-3 else None

    def _derive_exponents(self) -> dict[str, Any]:
        """Return sympy's exponents by regime, where the edge is one over a kernel that sympy has."""
        import sympy

        limits = self._limits
        found: dict[str, Any] = {}
        _, kernel, first = _curves(self.generated, 0.01)
        lazy = len(kernel) and abs(kernel[8] / first[8] - 1) < 1e-3
        if lazy and "lazy" in limits.get("start", {}) and limits["start"]["lazy"][1] == "0":
            found["lazy"] = sympy.Rational(limits["start"]["lazy"][0])
        if self.factor is not None and "at 1" in limits.get("minimum", {}):
            # the solution that gradient flow reaches
            at_one = gradient_flow(self.generated, np.ones(1))[1][0]
            if abs(limits["minimum"]["at 1"] / at_one - 1) < 1e-6:
                found |= {r: sympy.Rational(limits["minimum"][r][0]) for r in REGIMES
                          if r in limits["minimum"] and limits["minimum"][r][1] == "0"}
        return found

    @cached_property
    def _limits(self) -> dict[str, Any]:
        minimum = self.generated.minimum
        return derive_limits(self.generated.model, repr(self.generated.model.target) if minimum.at_target else None)

    def law(self, regime: str) -> Law:
        """Return the power law in the regime; Misuse where there is none."""
        choose("regime", regime, REGIMES)
        if regime not in self._laws:
            raise Misuse(f"{self.name} has no power law in the {regime} regime")
        return self._laws[regime]

    def exponent(self, regime: str) -> Any:
        """Return the limit of the local exponent: a sympy Rational where it is exact, else a float (`law` has its error)."""
        return self.law(regime).exponent

    def logarithm(self, regime: str) -> bool:
        """Return whether a logarithm multiplies the power law."""
        return regime in self._laws and self._laws[regime].logarithm

    def prefactor(self, regime: str, steps: int = 1000, rho: float = 0.01) -> float:
        """Return ``eta/gamma**exponent`` at gamma = 1e-10 or 1e10 (divided by |log gamma| where a logarithm multiplies the power)."""
        law, gamma = self.law(regime), 10.0 ** (-FAR[-1] if regime == "lazy" else FAR[-1])
        scale = abs(np.log(gamma)) if law.logarithm else 1.0
        return float(self.numeric(np.array([gamma]), steps, rho)[0] / gamma ** float(law.exponent) / scale)

    def window(self, regime: str, steps: int = 1000, rho: float = 0.01, tolerance: float = 0.02) -> tuple[float, float] | None:
        """Return the gammas (low, high) where the local exponent is within `tolerance` of its limit; an open end is 0 or infinity."""
        choose("regime", regime, REGIMES)
        if regime not in self._laws or self.logarithm(regime):
            return None
        time, kernel, _ = _curves(self.generated, rho)
        with np.errstate(all="ignore"):
            slope = np.gradient(np.log10(time if self.factor is None else 1 / kernel), GRID)
        good = np.abs(slope - float(self._laws[regime].exponent)) <= tolerance
        low, high = self.unjudged or (np.inf, 0.0)
        if regime == "lazy":
            end = np.inf if good.all() else float(10 ** GRID[max(0, int(np.argmin(good)) - 1)])
            return (0.0, min(end, low)) if good[0] else None
        start = 0.0 if good.all() else float(10 ** GRID[min(len(GRID) - 1, len(GRID) - int(np.argmin(good[::-1])))])
        start, end = max(start, high), self.closing_point(steps, rho) / 3
        return (start, end) if good[-1] and start < end else None


@lru_cache(maxsize=32)
def _curves(generated: Generated, rho: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return time, kernel at the minimum and kernel at the start on `GRID`."""
    return gradient_flow(generated, 10.0**GRID, rho)


def predict_own(model: Model, loss: Loss, optimizer: Optimizer, schedule: Schedule = CONSTANT) -> dict[str, OwnEdge]:
    """Return the predicted edges of a model of one's own by name; `explain_absence` says why others are absent.

    Raises
    ------
    Misuse : the loss has no minimum for the model's target, or the start is one.
    """
    generated = generate(model, loss)
    if not isinstance(optimizer, SGD | HeavyBall):
        return {}
    beta = optimizer.beta if isinstance(optimizer, HeavyBall) else 0.0
    stable, edges = 0 < generated.minimum.curvature < np.inf, []
    several, constant = len(model.start) > 1, isinstance(schedule, Constant)
    closes = stable and not several and beta == 0
    if beta == 0:
        edges.append(OwnEdge("eta_min", "gradient flow, $S/T$" if constant else r"gradient flow, $S/\sum_t c_t$",
                             "gradient flow of the model, by its differential equation", generated, None, closes, schedule=schedule))
    if stable and constant and not (several and beta):
        label = r"stability of gradient flow's minimum, $2/(\ell'' K_*)$" if beta == 0 else r"stability, $2(1+\beta)/(\ell'' K_*)$"
        names: tuple[Literal["eta_crit", "eta_max"], ...] = ("eta_crit", "eta_max") if closes else ("eta_crit",)
        edges += [OwnEdge(name, label, "stability of the update at the minimum that gradient flow reaches", generated, 2 * (1 + beta),
                          closes, judged_below=np.inf if beta == 0 else 0.3 * (1 - beta),
                          limits="of the minimum that gradient flow reaches; a run may end in another") for name in names]
    return {edge.name: edge for edge in edges}


def explain_absence(model: Model, loss: Loss, optimizer: Optimizer, schedule: Schedule = CONSTANT) -> list[str]:
    """Return a sentence for each edge that is not predicted."""
    if not isinstance(optimizer, SGD | HeavyBall):
        return [f"No edge of a model of one's own is predicted for {optimizer.name}."]
    reasons = []
    if isinstance(optimizer, HeavyBall):
        reasons.append("eta_min is not predicted for momentum with a model of one's own.")
    if not isinstance(schedule, Constant):
        return [*reasons, NO_UPPER_EDGE]
    curvature = generate(model, loss).minimum.curvature
    if isinstance(optimizer, HeavyBall) and optimizer.beta and len(model.start) > 1:
        reasons.append("eta_crit and eta_max are not predicted for momentum with several parameters: the transient overshoot catapults "
                       "runs before the minimum loses its stability.")
    elif curvature == 0:
        reasons.append("eta_crit and eta_max are not predicted: the loss is flatter than a parabola at its minimum (l'' = 0), so that the "
                       "minimum is stable at every rate and the edge depends on rho and T.")
    elif curvature == np.inf:
        reasons.append("eta_crit and eta_max are not predicted: the loss is steeper than a parabola at its minimum (l'' is infinite), so "
                       "that no rate is stable and the edge depends on rho.")
    elif len(model.start) > 1:
        reasons.append("eta_max is not predicted for several parameters: runs can catapult beyond eta_crit to a flatter minimum.")
    return reasons
