"""Learning-rate schedules: the factor that multiplies eta at each step, by a rule or as any array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from validation.arguments import Misuse, between
from validation.printable import shorten

MOST_FACTORS = 100_000


@dataclass(frozen=True)
class Constant:
    """The same rate at every step."""

    name: ClassVar[str] = "constant"

    def factors(self, steps: int) -> np.ndarray:
        """Return the factor of each step, shape (steps,)."""
        return np.ones(steps)


@dataclass(frozen=True)
class WarmupCosine:
    """A linear rise over the first `warmup` of the steps, then half a cosine down to zero (Appendix E).

    Attributes
    ----------
    warmup : the rise's share of all steps, in (0, 1); the paper's "approximately 5%".
    """

    warmup: float = 0.05
    name: ClassVar[str] = "warmup_cosine"

    def __post_init__(self) -> None:
        between("warmup", self.warmup, 0, 1)

    def factors(self, steps: int) -> np.ndarray:
        """Return the factor of each step, shape (steps,): (t + 1)/n in the rise, then cos^2 from 1 to 0."""
        rise = max(1, round(self.warmup * steps))
        t = np.arange(steps)
        fall = 0.5 * (1 + np.cos(np.pi * (t - rise) / max(1, steps - rise)))
        return np.where(t < rise, (t + 1) / rise, fall)


@dataclass(frozen=True)
class Factors:
    """Any factors, one for each step.

    Attributes
    ----------
    values : (T,), finite, none below zero, not all zero; at most `MOST_FACTORS`, since a portrait's description holds them.
    """

    values: tuple[float, ...]
    name: ClassVar[str] = "factors"

    def __post_init__(self) -> None:
        try:
            found = np.asarray(self.values, dtype=np.float64)
        except (TypeError, ValueError):
            found = np.empty((0, 0))
        if found.ndim != 1 or not 1 <= found.size <= MOST_FACTORS or not np.isfinite(found).all() or found.min() < 0 or found.max() == 0:
            raise Misuse(f"schedule must hold 1 to {MOST_FACTORS} finite factors, none below zero and not all zero, not "
                         f"{shorten(repr(self.values), 80)}")
        object.__setattr__(self, "values", tuple(found.tolist()))

    def factors(self, steps: int) -> np.ndarray:
        """Return the factors, shape (steps,); `Misuse` if there are not as many."""
        if steps != len(self.values):
            raise Misuse(f"schedule must hold one factor for each of {steps} steps, not {len(self.values)}")
        return np.array(self.values)


SCHEDULES = {"constant": Constant, "warmup_cosine": WarmupCosine, "factors": Factors}
NAMES = ("constant", "warmup_cosine")
Schedule = Constant | WarmupCosine | Factors
CONSTANT = Constant()


def as_schedule(schedule: str | Schedule | Sequence[float] | np.ndarray) -> Schedule:
    """Return the schedule of that name, `schedule` itself if it is one, or that of its factors; otherwise raise `Misuse`."""
    if isinstance(schedule, Constant | WarmupCosine | Factors):
        return schedule
    if isinstance(schedule, str) and schedule in NAMES:
        return Constant() if schedule == "constant" else WarmupCosine()
    if isinstance(schedule, list | tuple | np.ndarray):
        return Factors(tuple(schedule) if np.ndim(schedule) == 1 else schedule)      # type: ignore[arg-type]
    raise Misuse(f"schedule must be one of {', '.join(map(repr, NAMES))}, a toymodels schedule, or an array of factors, not {schedule!r}")


def total_factor(schedule: Schedule, steps: int) -> float:
    """Return the sum of the factors of all steps: the number of steps at the full rate to which they amount."""
    return float(steps) if isinstance(schedule, Constant) else float(schedule.factors(steps).sum())


def describe(schedule: Schedule) -> dict[str, Any]:
    """Return the schedule as JSON: its name and its parameters."""
    return {"name": schedule.name} | {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(schedule).items()}
