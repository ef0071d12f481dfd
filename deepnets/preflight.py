"""Pre-flight checks: refuse batches, loss records or weights that do not fit into memory, and networks that do not fit the task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves

from deepnets.centered import Unsupported
from deepnets.centered.centered import Centered
from deepnets.centered.functional import trainable
from deepnets.centered.propagation import propagate_pairs
from deepnets.losses import Loss
from deepnets.losses.check import check_loss
from deepnets.memory import GB, usable_memory
from deepnets.tasks import Task
from deepnets.tasks.task import describe_inputs, draw_batch, place_like
from validation.arguments import Misuse

LOSS = 8      # bytes of a recorded loss
GAMMA = 1e-3  # of the trial


def check_samples(name: str, samples: int, task: Task, loss: Loss | None = None) -> None:
    """Raise `Misuse` if so many samples of a task do not fit into memory; a single one is drawn to measure its size."""
    one = sum(t.numel() * t.element_size() for t in tree_leaves(draw_batch(task, 0, 0, 1, loss)))
    _fits(name, samples, one * samples, "samples")


def check_steps(name: str, steps: int) -> None:
    """Raise `Misuse` if the losses of one run, one a step, do not fit into memory."""
    _fits(name, steps, LOSS * steps, "losses of one run")


def check_weights(build: Callable[[int], Any], seed: int, dtype: torch.dtype, device: str) -> None:
    """Raise `Misuse` if a specification's network does not fit into a device's memory; it is built from fake tensors, without data."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    try:
        with torch.random.fork_rng(devices=[]), FakeTensorMode():
            module = build(seed)
    except Exception:      # a network that needs data is built later, and its own error appears then
        return
    check_size(module, dtype, device)


def check_size(module: nn.Module, dtype: torch.dtype, device: str) -> None:
    """Raise `Misuse` if a network's parameters in `dtype` do not fit into a device's memory."""
    parameters = sum(p.numel() for p in module.parameters() if not is_lazy(p))
    _fits("network", parameters, dtype.itemsize * parameters, "parameters", device)


def _fits(name: str, count: int, need: int, what: str, device: str = "cpu") -> None:
    usable = usable_memory(device)
    if need > usable:
        raise Misuse(f"{name} must fit into memory, and {count} {what} need {need / GB:.3g} GB where {usable / GB:.3g} GB are free")


def try_out(module: nn.Module, task: Task, seed: int, loss: Loss) -> None:
    """Refuse a network that differences cannot be propagated through, or whose outputs do not have the shape of the task's targets.

    Raises
    ------
    Misuse : the network has no parameters, fails on the task's inputs, or has outputs of another shape: a loss would broadcast them
        against the targets, and train towards something else.
    Unsupported : naming the operation.
    """
    if not trainable(module):
        raise Misuse(f"network must have trainable floating-point parameters; {type(module).__name__} has none")
    centered = Centered(module, GAMMA, "pairs")
    x, y = draw_batch(task, seed, 0, 2, loss)
    f = _output(centered, place_like(x, next(module.parameters())))
    shapes = loss.shapes(y, task.out_features)
    if isinstance(f, torch.Tensor) and f.ndim and (not shapes or tuple(f.shape) in shapes):
        if not loss.closed_form:
            check_loss(loss, tuple(f.shape), y.to(f.device), task.out_features, f.dtype)
        return
    wanted = " or ".join(map(str, shapes)) if shapes else "(batch, ...)"
    gave = f"a {type(f).__name__}: deepnets.wrap(model, output=...) picks one"
    gave = f"a tensor of shape {tuple(f.shape)}" if isinstance(f, torch.Tensor) else gave
    rows = "; one-hot rows must have a floating dtype" if isinstance(f, torch.Tensor) and f.shape == y.shape else ""
    raise Misuse(f"network must give a tensor of shape {wanted} where the task's targets are {tuple(y.shape)} of {y.dtype} and its "
                 f"out_features {task.out_features}, not {gave}{rows}")


def _output(centered: Centered, x: torch.Tensor) -> Any:
    """Return f~ of the inputs."""
    try:
        return propagate_pairs(centered.module, centered.coordinates(), GAMMA, (x,))[0]
    except Misuse:
        raise
    except Exception as error:
        try:
            centered.module(x)
        except Exception as own:
            raise Misuse(f"network must take the task's inputs, and fails on {describe_inputs(x)}: {_name(own)}") from own
        raise Unsupported(f"differences could not be propagated through {type(centered.module).__name__}: {_name(error)}") from error


def _name(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
