"""The interface of a task, the checks of its batches, and random numbers that depend on a key alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch.utils._pytree import tree_leaves, tree_map

from deepnets.losses import Loss
from validation.arguments import Misuse

Inputs = torch.Tensor | dict[str, torch.Tensor] | tuple[torch.Tensor, ...]


@runtime_checkable
class Task(Protocol):
    """A stream of batches, each a pure function of (seed, step). Subclassing is not required.

    Attributes
    ----------
    in_shape : shape of one input.
    out_features : K, the outputs of a network for one input.
    classes : their number; None for regression.
    """

    in_shape: tuple[int, ...]
    out_features: int
    classes: int | None

    def batch(self, seed: int, step: int, size: int) -> tuple[Inputs, torch.Tensor]:
        """Return inputs (size, *in_shape) and targets: class indices (size,), or floating-point numbers or one-hot rows (size, K).

        For sequences each position may have a target: class indices (size, length), or numbers (size, length, K). Inputs may be several
        tensors, as a dict or a tuple, for a network of one's own (see `deepnets.wrap`).
        """
        ...

    def held_out(self) -> tuple[Inputs, torch.Tensor]:
        """Return inputs and targets that are in no batch."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return the task as JSON."""
        ...


def as_task(task: object) -> Task:
    """Return `task` if it has the attributes and methods of `Task`; otherwise raise `Misuse`."""
    if isinstance(task, type) or not isinstance(task, Task):
        raise Misuse("task must have in_shape, out_features, classes, batch(seed, step, size), held_out() and describe(), as those of "
                     f"deepnets.tasks do, not {task!r}")
    return task


def generator(*key: int) -> np.random.Generator:
    """Return a random generator that depends on `key` alone; generators of different keys are independent."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def draw_batch(task: Task, seed: int, step: int, size: int, loss: Loss | None = None) -> tuple[Any, torch.Tensor]:
    """Draw a batch of a task, checked by `check_batch`."""
    return check_batch(task, task.batch(seed, step, size), f"batch(seed={seed}, step={step}, size={size})", loss)


def check_batch(task: Task, given: Any, where: str, loss: Loss | None = None) -> tuple[Any, torch.Tensor]:
    """Check the inputs and targets that a task returned; return whole-number targets as int64, rows of booleans as float32.

    Parameters
    ----------
    task : that returned the batch.
    given : what it returned.
    where : the call, for the message.
    loss : of one's own, which may take other targets; None: one of the package's.

    Raises
    ------
    Misuse : not two tensors of one length, or targets that are neither class indices below K nor numbers (..., K).
    """
    leaves = tree_leaves(given)
    if not isinstance(given, tuple | list) or len(given) != 2 or not all(isinstance(t, torch.Tensor) and t.ndim for t in leaves):
        raise Misuse(f"task must return two tensors, inputs and targets, but {where} returned "
                     f"{[type(t).__name__ for t in given] if isinstance(given, tuple | list) else type(given).__name__}")
    x, y = given
    K = task.out_features
    if not isinstance(y, torch.Tensor) or not tree_leaves(x):
        raise Misuse("task must return inputs, a tensor or several, and targets, one tensor, but "
                     f"{where} returned {describe_inputs(given)}")
    if any(len(part) != len(y) for part in tree_leaves(x)):
        raise Misuse(f"task must return as many targets as inputs, but {where} returned {len(y)} for "
                     f"{', '.join(str(len(part)) for part in tree_leaves(x))}")
    free = loss is not None and loss.any_targets
    if y.is_floating_point() or y.dtype == torch.bool:
        if not free and (y.ndim < 2 or y.shape[-1] != K):
            raise Misuse(f"task must return class indices, or numbers whose last dimension is out_features={K}, but {where} returned "
                         f"targets of shape {tuple(y.shape)}")
        return x, y if y.is_floating_point() else y.float()
    y = y.long()
    if free or y.device.type != "cpu" or not y.numel():      # on a GPU the check would wait
        return x, y
    K = max(K, loss.fewest_classes) if loss is not None else K
    if not 0 <= int(y.min()) <= int(y.max()) < K:
        wrong = y[(y < 0) | (y >= K)]
        wrong = wrong if loss is None or loss.ignore_index is None else wrong[wrong != loss.ignore_index]
        if not len(wrong):
            return x, y
        wrong = wrong[0]
        raise Misuse(f"task must return class indices from 0 to {K - 1}, but {where} returned {int(wrong)}")
    return x, y


def place_like(x: Inputs, like: torch.Tensor) -> Any:
    """Move a tensor, or each of several, to the device of `like`, and cast it to its dtype if it is floating-point."""
    return tree_map(lambda part: _place(part, like), x)


def select_inputs(x: Inputs, which: torch.Tensor | slice) -> Any:
    """Return some of the samples."""
    return tree_map(lambda part: part[which], x)


def describe_inputs(x: Any) -> str:
    """Return dtypes and shapes in words."""
    if isinstance(x, torch.Tensor):
        return f"{x.dtype} of shape {tuple(x.shape)}"
    parts = x.items() if isinstance(x, Mapping) else enumerate(x)
    return f"a {type(x).__name__} of {', '.join(f'{n!r}: {describe_inputs(part)}' for n, part in parts)}"


def _place(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    x = x.to(like.dtype) if x.is_floating_point() else x
    if like.is_cuda and x.device.type == "cpu":
        x = x.pin_memory()          # copied while the device still runs the steps before
    return x.to(like.device, non_blocking=like.is_cuda)
