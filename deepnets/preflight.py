"""What is refused before anything is trained or written: samples, losses, weights for which there is no memory; knows no training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from deepnets.centered import Unsupported
from deepnets.centered.centered import Centered
from deepnets.memory import GB, room
from deepnets.tasks import Task
from deepnets.tasks.task import draw_batch, place_like
from validation.arguments import Misuse

LOSS = 8      # bytes


def check_samples(name: str, samples: int, task: Task) -> None:
    """Raise `Misuse` if so many samples of a task do not fit into memory; one of them is drawn."""
    one = sum(t.numel() * t.element_size() for t in draw_batch(task, 0, 0, 1))
    _fits(name, samples, one * samples, "samples")


def check_steps(name: str, steps: int) -> None:
    """Raise `Misuse` if not even one run's losses, one a step, fit into memory."""
    _fits(name, steps, LOSS * steps, "losses of one run")


def check_weights(build: Callable[[int], Any], seed: int, dtype: torch.dtype, device: str) -> None:
    """Raise `Misuse` if a network does not fit into a device's memory; it is built without numbers, where it can be."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    try:
        with torch.random.fork_rng(devices=[]), FakeTensorMode():
            made = build(seed)
        parameters = sum(p.numel() for p in made.parameters()) if isinstance(made, nn.Module) else 0
    except Exception:      # one that looks at its numbers is built in earnest later, and what is wrong with it is told there
        return
    _fits("network", parameters, dtype.itemsize * parameters, "parameters", device)


def _fits(name: str, count: int, need: int, what: str, device: str = "cpu") -> None:
    there = room(device)
    if need > there:
        raise Misuse(f"{name} must fit into memory, and {count} {what} need {need / GB:.3g} GB where {there / GB:.3g} GB are free")


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
    x, y = draw_batch(task, seed, 0, 2)
    f = _output(centered, place_like(x, next(module.parameters())))
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
