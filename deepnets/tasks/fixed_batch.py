"""One batch, the same at every step: any task trained on full batches; knows no data and no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from deepnets.tasks.task import Task, as_task
from validation.arguments import whole


@dataclass(frozen=True)
class FullBatch:
    """A task whose every batch is its first one: there are as many samples as the batch size.

    Attributes
    ----------
    task : that the samples are of.
    sample : the seed that the task draws them with; the runs' seeds make no difference to the data.
    """

    task: Task
    sample: int = 0

    def __post_init__(self) -> None:
        as_task(self.task)
        whole("sample", self.sample, 0)

    @property
    def in_shape(self) -> tuple[int, ...]:
        """The task's."""
        return self.task.in_shape

    @property
    def out_features(self) -> int:
        """The task's."""
        return self.task.out_features

    @property
    def classes(self) -> int | None:
        """The task's."""
        return self.task.classes

    def batch(self, seed: int, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the `size` samples, whatever the seed and the step."""
        return self.task.batch(self.sample, 0, size)

    def held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the task holds out."""
        return self.task.held_out()

    def describe(self) -> dict[str, Any]:
        """Return the task as JSON."""
        return {"name": "full_batch", "task": self.task.describe(), "sample": self.sample}


def full_batch(task: Task, sample: int = 0) -> FullBatch:
    """Return the task of which every step shows the same batch, drawn with the seed `sample`."""
    return FullBatch(task, sample)
