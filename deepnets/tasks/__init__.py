"""Tasks: streams of batches, each batch a pure function of (seed, step); knows no network."""

from deepnets.tasks.images import Digits, digits
from deepnets.tasks.stream import Task, as_task
from deepnets.tasks.synthetic import SingleIndex, single_index

__all__ = ["Digits", "SingleIndex", "Task", "as_task", "digits", "single_index"]
