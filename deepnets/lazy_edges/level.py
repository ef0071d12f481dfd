"""Results: the level of one lazy edge as a Prediction, and the levels of an experiment with the reasons for those that are absent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from validation.arguments import choose
from validation.prediction import REGIMES, RHO, STEPS, Prediction

AGREE = 1.3      # the largest ratio of the levels from all samples and from a quarter of them, between which there is no abstention


@dataclass(frozen=True, eq=False)
class SeedLevel:
    """The level of one edge for the weights and the samples of one seed.

    Attributes
    ----------
    level : (T, rho) -> eta/gamma**2, NaN where there is none.
    of_a_quarter : the same from a quarter of the samples; None where the samples are the whole training set.
    """

    level: Callable[[int, float], float]
    of_a_quarter: Callable[[int, float], float] | None = None

    def compare_samples(self, steps: int, rho: float) -> float:
        """Return the factor, at least 1, by which the levels of all samples and of a quarter of them differ; NaN if either is absent."""
        if self.of_a_quarter is None:
            return 1.0 if np.isfinite(self.level(steps, rho)) else np.nan
        ratio = self.level(steps, rho) / self.of_a_quarter(steps, rho)
        return float(max(ratio, 1 / ratio))


@dataclass(frozen=True, eq=False, kw_only=True)
class LazyLevel(Prediction):
    """One lazy edge, ``eta = level gamma**2``, prefactor included; NaN outside the lazy regime, the only one that the kernel describes.

    Attributes
    ----------
    name, label, source : as of `Prediction`.
    lazy_below : the gamma up to which the network is taken to be lazy.
    seeds : the level of each seed; the edge's is their geometric mean.
    claimed_within : as of `Prediction`.
    """

    name: str
    label: str
    source: str
    lazy_below: float
    seeds: Sequence[SeedLevel] = field(repr=False)
    claimed_within: float | None = None

    drawn: ClassVar[str] = "predicted level"      # type: ignore[misc]

    def level(self, steps: int = STEPS, rho: float = RHO) -> float:
        """Return ``eta/gamma**2``; NaN where runs do not show the edge at this T and rho, or the samples do not determine it within 1.3."""
        if not self.compare_samples(steps, rho) <= AGREE:
            return np.nan
        return float(np.exp(np.mean([np.log(s.level(steps, rho)) for s in self.seeds])))

    def compare_samples(self, steps: int = STEPS, rho: float = RHO) -> float:
        """Return the largest factor, over seeds, between the levels from all samples and from a quarter of them; NaN if one is absent."""
        return float(np.max([s.compare_samples(steps, rho) for s in self.seeds]))

    def __call__(self, gamma: ArrayLike, steps: int = STEPS, rho: float = RHO) -> np.ndarray:
        """Return the predicted eta at each gamma, NaN outside the lazy regime (shape of `gamma`)."""
        gamma = np.asarray(gamma, dtype=np.float64)
        return np.where(gamma <= self.lazy_below, self.level(steps, rho) * gamma**2, np.nan)

    def exponent(self, regime: str) -> Fraction:
        """Return 2 in the regime "lazy"; ValueError in the rich one, of which nothing is predicted."""
        if choose("regime", regime, REGIMES) == "rich":
            raise ValueError(f"nothing is predicted of {self.name} in the rich regime")
        return Fraction(2)

    def fraction(self, regime: str) -> Fraction:
        """Return `exponent`."""
        return self.exponent(regime)

    def holds_by_construction(self, regime: str) -> bool:
        """Return whether the exponent is an identity, as that of a lazy network is; its level is not."""
        return choose("regime", regime, REGIMES) == "lazy"

    def window(self, regime: str, steps: int = STEPS, rho: float = RHO, tolerance: float = 0.02) -> tuple[float, float] | None:
        """Return (0, `lazy_below`) in the regime "lazy", None in the rich one."""
        return (0.0, self.lazy_below) if choose("regime", regime, REGIMES) == "lazy" else None


class Levels(dict[str, LazyLevel]):
    """The levels by edge.

    Attributes
    ----------
    abstained : of each edge that is absent, why, in a sentence.
    attrs : `steps`, `rho`, `samples` and `convergence`, of each edge the factor between the levels of all samples and of a quarter of them.
    """

    def __init__(self, levels: dict[str, LazyLevel], abstained: dict[str, str], attrs: dict[str, Any]) -> None:
        super().__init__(levels)
        self.abstained, self.attrs = abstained, attrs

    def report(self) -> str:
        """Return a line for each edge: its level and how far it depends on the samples, or why it is absent."""
        steps, rho = self.attrs["steps"], self.attrs["rho"]
        lines = [f"{edge} = {p.level(steps, rho):.3g} gamma^2 up to gamma = {p.lazy_below:.3g}, at T = {steps} and rho = {rho:g}; "
                 f"{describe_convergence(self.attrs['convergence'][edge])}" for edge, p in self.items()]
        return "\n".join([*lines, *self.explain_absences()])

    def explain_absences(self) -> list[str]:
        """Return a sentence for each reason why levels are absent."""
        reasons: dict[str, list[str]] = {}
        for edge, why in self.abstained.items():
            reasons.setdefault(why, []).append(edge)
        return [f"the level of {' and '.join(edges)} is not predicted: {why}" for why, edges in reasons.items()]


def describe_convergence(factor: float) -> str:
    """Return in words how far a level depends on the samples."""
    return "from the whole training set" if factor == 1.0 else f"a quarter of the samples gives it within a factor {factor:.3g}"
