"""Results: the level of one lazy edge as a Prediction, and the levels of an experiment with the reasons for those that are absent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from validation.arguments import Misuse, choose
from validation.prediction import REGIMES, RHO, STEPS, Prediction

STORED = "lazy_levels"      # the attribute of a portrait that holds them
AGREE = 1.3      # the largest ratio of the levels from all samples and from a quarter of them, between which there is no abstention


@dataclass(frozen=True, eq=False)
class SeedLevel:
    """The level of one edge for the weights and the samples of one seed.

    Attributes
    ----------
    level : (T, rho) -> eta/gamma**2, NaN where there is none.
    of_quarters : the same from each quarter of the samples; none where the samples are the whole training set.
    """

    level: Callable[[int, float], float]
    of_quarters: tuple[Callable[[int, float], float], ...] = ()

    def compare_samples(self, steps: int, rho: float) -> float:
        """Return the factor, at least 1, by which the levels of all samples and of a quarter of them differ; NaN if any is absent."""
        if not self.of_quarters:
            return 1.0 if np.isfinite(self.level(steps, rho)) else np.nan
        ratio = self._compare_quarters(steps, rho)
        return float(max(ratio, 1 / ratio))

    def extrapolate(self, steps: int, rho: float) -> float:
        """Return the level of infinitely many samples, NaN if any is absent.

        On n samples the residual is fitted where its loss is measured, closer than training on fresh ones fits them, and the largest
        eigenvalue exceeds the population's. The bias is of order 1/n, four times as large on quarters: a third of the difference between
        their mean and the level of all samples (the jackknife of Quenouille, Biometrika 43, 1956).
        """
        if not self.of_quarters:
            return self.level(steps, rho)
        return float(self.level(steps, rho) * self._compare_quarters(steps, rho) ** (1 / (len(self.of_quarters) - 1)))

    def _compare_quarters(self, steps: int, rho: float) -> float:
        """Return the level over the geometric mean of those of the quarters."""
        return float(self.level(steps, rho) / np.exp(np.mean([np.log(q(steps, rho)) for q in self.of_quarters])))


@dataclass(frozen=True)
class _KnownLevel:
    """A level that is known at one T and rho."""

    level: float
    steps: int
    rho: float

    def __call__(self, steps: int, rho: float) -> float:
        return self.level if (steps, rho) == (self.steps, self.rho) else np.nan


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
        return float(np.exp(np.mean([np.log(s.extrapolate(steps, rho)) for s in self.seeds])))

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

    def encode(self) -> dict[str, str]:
        """Return the levels as an attribute of a portrait, a JSON text."""
        steps, rho = self.attrs["steps"], self.attrs["rho"]
        content = {"steps": steps, "rho": rho, "samples": self.attrs["samples"], "abstained": self.abstained, "levels": {
            edge: {"level": p.level(steps, rho), "convergence": self.attrs["convergence"][edge], "label": p.label, "source": p.source,
                   "lazy_below": p.lazy_below, "claimed_within": p.claimed_within} for edge, p in self.items()}}
        return {STORED: json.dumps(content)}

    @classmethod
    def decode(cls, attrs: Mapping[Any, Any]) -> Levels | None:
        """Return the levels that a portrait's attributes hold, NaN at another T and rho than theirs; None where they hold none.

        Raises
        ------
        Misuse : they are damaged.
        """
        if STORED not in attrs:
            return None
        try:
            content = json.loads(attrs[STORED])
            steps, rho = int(content["steps"]), float(content["rho"])
            found, convergence = {}, {}
            for edge, stored in content["levels"].items():
                convergence[edge] = float(stored.pop("convergence"))
                known = SeedLevel(_KnownLevel(float(stored.pop("level")), steps, rho))
                found[edge] = LazyLevel(name=edge, seeds=(known,), **stored)
            return cls(found, dict(content["abstained"]), {"steps": steps, "rho": rho, "samples": content["samples"],
                                                           "convergence": convergence})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Misuse(f"the portrait's attribute {STORED} is damaged ({type(error).__name__})") from None

    def explain_absences(self, rho: float | None = None) -> list[str]:
        """Return a sentence for each reason why levels are absent; at another rho than theirs stored levels are."""
        if rho is not None and rho != self.attrs["rho"]:
            return [f"the levels of the lazy edges are stored for rho = {self.attrs['rho']:g} alone, not for {rho:g}"]
        reasons: dict[str, list[str]] = {}
        for edge, why in self.abstained.items():
            reasons.setdefault(why, []).append(edge)
        return [f"the level of {edges[0]} is not predicted: {why}" if len(edges) == 1 else
                f"the levels of {' and '.join(edges)} are not predicted: {why}" for why, edges in reasons.items()]


def describe_convergence(factor: float) -> str:
    """Return in words how far a level depends on the samples."""
    return "from the whole training set" if factor == 1.0 else f"a quarter of the samples gives it within a factor {factor:.3g}"
