"""Learning-rate schedules: the factor that multiplies eta at each step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from validation.arguments import Misuse, between


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


SCHEDULES = {"constant": Constant, "warmup_cosine": WarmupCosine}
Schedule = Constant | WarmupCosine


def as_schedule(schedule: str | Schedule) -> Schedule:
    """Return the schedule of that name, or `schedule` itself if it is one; otherwise raise `Misuse`."""
    if isinstance(schedule, Constant | WarmupCosine):
        return schedule
    if isinstance(schedule, str) and schedule in SCHEDULES:
        return SCHEDULES[schedule]()
    raise Misuse(f"schedule must be one of {', '.join(map(repr, SCHEDULES))}, or a toymodels schedule, not {schedule!r}")


def describe(schedule: Schedule) -> dict[str, Any]:
    """Return the schedule as JSON: its name and its parameters."""
    return {"name": schedule.name, **asdict(schedule)}
