"""Learning-rate schedules: the factor that multiplies eta at each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from deepnets.behaviour import hash_values, name_callable
from validation.arguments import Misuse, between, numbers, refuse_subclass

__all__ = ["Constant", "WarmupCosine", "WarmupStableDecay"]


@dataclass(frozen=True)
class Constant:
    """The same rate at every step."""

    name: ClassVar[str] = "constant"

    def factors(self, steps: int) -> np.ndarray:
        """Return the factor of each step, shape (steps,)."""
        return np.ones(steps)


@dataclass(frozen=True)
class WarmupCosine:
    """A linear rise, then half a cosine down to zero (Appendix E).

    Attributes
    ----------
    warmup : the share of the steps that the rise takes, in (0, 1).
    """

    warmup: float = 0.05
    name: ClassVar[str] = "warmup_cosine"

    def __post_init__(self) -> None:
        between("warmup", self.warmup, 0, 1)

    def factors(self, steps: int) -> np.ndarray:
        """Return the factor of each step, shape (steps,)."""
        rise = max(1, round(self.warmup * steps))
        t = np.arange(steps)
        return np.where(t < rise, (t + 1) / rise, 0.5 * (1 + np.cos(np.pi * (t - rise) / max(1, steps - rise))))


@dataclass(frozen=True)
class WarmupStableDecay:
    """A linear rise, a constant rate, and a linear fall to zero (Hu et al. 2024).

    Attributes
    ----------
    warmup, decay : the shares of the steps that the rise and the fall take, above 0, together below 1.
    """

    warmup: float = 0.05
    decay: float = 0.2
    name: ClassVar[str] = "warmup_stable_decay"

    def __post_init__(self) -> None:
        between("warmup", self.warmup, 0, 1)
        between("decay", self.decay, 0, 1 - self.warmup)

    def factors(self, steps: int) -> np.ndarray:
        """Return the factor of each step, shape (steps,); that after the last step would be 0."""
        rise, fall = (max(1, round(share * steps)) for share in (self.warmup, self.decay))
        t = np.arange(steps)
        return np.minimum(np.minimum((t + 1) / rise, 1), (steps - t) / fall)


@dataclass(frozen=True, eq=False)
class OwnSchedule:
    """Factors of one's own; `DeepExperiment` makes it from an array, or from a function of the step and of T.

    Attributes
    ----------
    source : factors (T,), or a callable (step, T) -> factor, with steps from 0 to T - 1.
    """

    source: Callable[[int, int], float] | Sequence[float] | np.ndarray
    name: ClassVar[str] = "own"

    def factors(self, steps: int) -> np.ndarray:
        """Return the factor of each step, shape (steps,).

        Raises
        ------
        Misuse : not one finite factor of at least 0 for each step.
        """
        try:
            given = [self.source(t, steps) for t in range(steps)] if callable(self.source) else self.source
        except Exception as error:
            raise Misuse(f"schedule must be a callable (step, T) -> factor, but {name_callable(self.source)} raised "
                         f"{type(error).__name__}: {error}") from error
        array = numbers("schedule", given)
        if array.shape != (steps,):
            raise Misuse(f"schedule must have one factor for each of the {steps} steps, not factors of shape {array.shape}")
        if not (np.isfinite(array) & (array >= 0)).all():
            raise Misuse(f"schedule must have finite factors of at least 0, not {array[~(np.isfinite(array) & (array >= 0))][0]:g}")
        return array


Schedule = Constant | WarmupCosine | WarmupStableDecay | OwnSchedule
BUILT_IN = (Constant, WarmupCosine, WarmupStableDecay, OwnSchedule)
SCHEDULES: dict[str, type[Constant | WarmupCosine | WarmupStableDecay]] = {
    "constant": Constant, "warmup_cosine": WarmupCosine, "warmup_stable_decay": WarmupStableDecay}


def as_schedule(schedule: Any) -> Schedule:
    """Return the schedule of that name, `schedule` itself if it is one, or that of an array or a callable; otherwise raise `Misuse`."""
    if isinstance(schedule, str) and schedule in SCHEDULES:
        return SCHEDULES[schedule]()
    refuse_subclass("schedule", schedule, BUILT_IN, "give the factors or a function of them")
    if isinstance(schedule, BUILT_IN):
        return schedule
    if not isinstance(schedule, str | type) and (callable(schedule) or isinstance(schedule, Sequence | np.ndarray)):
        return OwnSchedule(schedule)
    raise Misuse(f"schedule must be one of {', '.join(map(repr, SCHEDULES))}, a deepnets schedule, factors of eta as an array (T,), or a "
                 f"callable (step, T) -> factor, not {schedule!r}")


def describe(schedule: Schedule, steps: int) -> dict[str, Any]:
    """Return the schedule of so many steps as JSON: its name and its numbers; of one's own a digest of the factors."""
    if isinstance(schedule, OwnSchedule):
        named = {"function": name_callable(schedule.source)} if callable(schedule.source) else {}
        return {"name": schedule.name, **named, "digest": hash_values([schedule.factors(steps)])}
    return {"name": schedule.name, **asdict(schedule)}


def __dir__() -> list[str]:
    """Return the public names, for completion."""
    return list(__all__)
