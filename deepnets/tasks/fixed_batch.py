"""Full-batch training: a task that returns the same batch of another task at every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from deepnets.tasks.task import Inputs, Task, as_task
from validation.arguments import whole


@dataclass(frozen=True)
class FullBatch:
    """A task with as many samples as the batch size, all of them in every batch.

    Attributes
    ----------
    task : from which the samples are drawn.
    sample : the seed with which they are drawn; the data do not depend on the seeds of runs.
    """

    task: Task
    sample: int = 0

    def __post_init__(self) -> None:
        as_task(self.task)
        whole("sample", self.sample, 0)

    @property
    def in_shape(self) -> tuple[int, ...]:
        """As of the task."""
        return self.task.in_shape

    @property
    def out_features(self) -> int:
        """As of the task."""
        return self.task.out_features

    @property
    def classes(self) -> int | None:
        """As of the task."""
        return self.task.classes

    def batch(self, seed: int, step: int, size: int) -> tuple[Inputs, torch.Tensor]:
        """Return the `size` samples, whatever the seed and the step."""
        return self.task.batch(self.sample, 0, size)

    def held_out(self) -> tuple[Inputs, torch.Tensor]:
        """Return the task's held-out samples."""
        return self.task.held_out()

    def describe(self) -> dict[str, Any]:
        """Return the task as JSON."""
        return {"name": "full_batch", "task": self.task.describe(), "sample": self.sample}


def full_batch(task: Task, sample: int = 0) -> FullBatch:
    """Return the task whose every step uses the same batch of `task`, drawn with the seed `sample`."""
    return FullBatch(task, sample)
