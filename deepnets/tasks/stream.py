"""What a task is: a stream of batches, each a pure function of (seed, step); knows no data and no network."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from validation.misuse import Misuse


@runtime_checkable
class Task(Protocol):
    """Anything that gives batches. It may be subclassed, or merely resembled.

    Attributes
    ----------
    in_shape : of one input.
    out_features : numbers a network gives for one input.
    classes : how many there are; None where the targets are numbers.
    """

    in_shape: tuple[int, ...]
    out_features: int
    classes: int | None

    def batch(self, seed: int, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs (size, *in_shape), float32, and targets: class indices (size,), or numbers (size, out_features)."""
        ...

    def held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs and targets that no batch holds."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return the task as JSON."""
        ...


def as_task(task: Any) -> Task:
    """Return `task` if it gives batches; otherwise raise `Misuse`."""
    if isinstance(task, type) or not isinstance(task, Task):
        raise Misuse("task must have in_shape, out_features, classes, batch(seed, step, size), held_out() and describe(), as those of "
                     f"deepnets.tasks have, not {task!r}")
    return task


def generator(*key: int) -> np.random.Generator:
    """Return a source of random numbers that depends on `key` alone: neighbouring seeds and steps share nothing."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
