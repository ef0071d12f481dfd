"""What a task is: a stream of batches, each a pure function of (seed, step); knows no data and no network."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from validation.arguments import Misuse


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
        """Return inputs (size, *in_shape), and targets: class indices (size,), or floating numbers or one-hot rows (size, out_features).

        Of a sequence every place may be told: class indices (size, length), or numbers (size, length, out_features).
        """
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


def draw_batch(task: Task, seed: int, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a batch of a task, `checked`."""
    return check_batch(task, task.batch(seed, step, size), f"batch(seed={seed}, step={step}, size={size})")


def check_batch(task: Task, given: Any, where: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the inputs and targets that a task gave, whole numbers of targets as int64, rows of booleans as numbers.

    Raises
    ------
    Misuse : no two tensors of one length; targets that are no class indices below K, and no numbers (..., K).
    """
    if not isinstance(given, tuple | list) or len(given) != 2 or not all(isinstance(t, torch.Tensor) and t.ndim for t in given):
        raise Misuse(f"task must give two tensors, inputs and targets, but {where} gave "
                     f"{[type(t).__name__ for t in given] if isinstance(given, tuple | list) else type(given).__name__}")
    x, y = given
    K = task.out_features
    if len(x) != len(y):
        raise Misuse(f"task must give as many targets as inputs, but {where} has {len(y)} for {len(x)}")
    if y.is_floating_point() or y.dtype == torch.bool:
        if y.ndim < 2 or y.shape[-1] != K:
            raise Misuse(f"task must give class indices, or numbers whose last dim is out_features={K}, but {where} has targets of shape "
                         f"{tuple(y.shape)}")
        return x, y if y.is_floating_point() else y.float()
    y = y.long()
    if y.device.type == "cpu" and y.numel() and not 0 <= int(y.min()) <= int(y.max()) < K:      # elsewhere it would have to be waited for
        strange = y[(y < 0) | (y >= K)][0]
        raise Misuse(f"task must give class indices of 0 to {K - 1}, but {where} has {int(strange)}")
    return x, y


def place_like(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return a tensor on the device of `like`, and of its dtype if it has a floating one."""
    x = x.to(like.dtype) if x.is_floating_point() else x
    if like.is_cuda and x.device.type == "cpu":
        x = x.pin_memory()          # from there it is copied while the device still works on the steps before
    return x.to(like.device, non_blocking=like.is_cuda)
