"""Check the numbers of steps and the seeds of an experiment, and that its parts fit each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from validation.arguments import Misuse, axis, whole
from validation.estimates import MOST_STEPS

MOST_SEED = 2**63 - 1       # of torch's generators


def as_steps(steps: int | Sequence[int]) -> int | tuple[int, ...]:
    """Return a number of steps, or an increasing tuple of them, or raise `Misuse`."""
    if np.ndim(steps) == 0:
        return whole("steps", steps, most=MOST_STEPS)
    if np.asarray(steps).dtype.kind not in "iu":
        raise Misuse(f"steps must be a whole number, or an increasing sequence of them, not {steps!r}")
    return tuple(int(t) for t in axis("steps", steps))


def as_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    """Return seeds as a tuple of distinct whole numbers, or raise `Misuse`."""
    if isinstance(seeds, str | bytes) or not isinstance(seeds, Sequence | np.ndarray | range) or len(seeds) == 0:
        raise Misuse(f"seeds must be a sequence of whole numbers, such as (0, 1, 2), not {seeds!r}")
    numbers = tuple(whole("seeds", s, 0, MOST_SEED) for s in seeds)
    if len(set(numbers)) < len(numbers):
        raise Misuse(f"seeds must differ from one another, not {seeds!r}")
    return numbers


def check_together(experiment: Any) -> None:
    """Raise `Misuse` unless schedule and steps, loss and task, network and task of an experiment fit each other."""
    if isinstance(experiment.steps, tuple) and experiment.schedule.name != "constant":
        raise Misuse(f"steps must be one number, such as {experiment.steps[-1]}, with the schedule {experiment.schedule.name!r}, which "
                     f"depends on T, not {experiment.steps!r}")
    if experiment.loss.name == "cross_entropy" and experiment.task.classes is None:
        raise Misuse("loss 'cross_entropy' needs a task with classes, and this task's targets are numbers")
    if hasattr(experiment.network, "scalings"):
        if not isinstance(experiment.task.in_shape, tuple):
            raise Misuse("network must be a callable seed -> torch.nn.Module for inputs that are several tensors, see deepnets.wrap, "
                         f"not {experiment.network!r}")
        for name, has, wants in (("in_features", experiment.network.in_features, int(np.prod(experiment.task.in_shape))),
                                 ("out_features", experiment.network.out_features, experiment.task.out_features)):
            if has != wants:
                raise Misuse(f"network must have {name}={wants}, as the task has, not {has}")
