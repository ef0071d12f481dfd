"""A network tried on two samples of its task, before hours of training; knows no training."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from deepnets.difference import Centered
from deepnets.pairs import Unsupported
from deepnets.tasks import Task
from deepnets.tasks.stream import drawn, placed
from validation.misuse import Misuse

GAMMA = 1e-3


def try_out(module: nn.Module, task: Task, seed: int) -> None:
    """Refuse a network that differences cannot be propagated through, or whose outputs are not what the task's targets want.

    Raises
    ------
    Misuse : the network has nothing to train, fails on the task's inputs by itself, or gives outputs of another shape: a loss would
        broadcast them against the targets, and train towards something else.
    Unsupported : naming the operation.
    """
    centered = Centered(module, GAMMA, "pairs")
    x, y = drawn(task, seed, 0, 2)
    f = _output(centered, placed(x, next(module.parameters())))
    wanted = tuple(y.shape) if y.is_floating_point() else (*y.shape, task.out_features)
    if isinstance(f, torch.Tensor) and f.shape == wanted:
        return
    gave = f"a tensor of shape {tuple(f.shape)}" if isinstance(f, torch.Tensor) else f"a {type(f).__name__}"
    rows = "; one-hot rows are to be of a floating dtype" if isinstance(f, torch.Tensor) and f.shape == y.shape else ""
    raise Misuse(f"network must give a tensor of shape {wanted} where the task's targets are {tuple(y.shape)} of {y.dtype} and its "
                 f"out_features {task.out_features}, not {gave}{rows}")


def _output(centered: Centered, x: torch.Tensor) -> Any:
    """Return f~ of the inputs."""
    try:
        return centered(x)
    except Misuse:
        raise
    except Exception as error:
        try:
            centered.module(x)
        except Exception as own:
            raise Misuse(f"network must take the task's inputs, and fails on {x.dtype} of shape {tuple(x.shape)}: {_told(own)}") from own
        raise Unsupported(f"differences could not be propagated through {type(centered.module).__name__}: {_told(error)}") from error


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
