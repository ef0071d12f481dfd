"""Pre-flight checks: refuse batches, loss records or weights that do not fit into memory."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves

from deepnets.losses import Loss
from deepnets.memory import GB, usable_memory
from deepnets.networks.parametrization import Specification
from deepnets.tasks import Task
from deepnets.tasks.task import draw_batch
from validation.arguments import Misuse

LOSS = 8      # bytes of a recorded loss


def check_samples(name: str, samples: int, task: Task, loss: Loss | None = None) -> None:
    """Raise `Misuse` if so many samples of a task do not fit into memory; a single one is drawn to measure its size."""
    one = sum(t.numel() * t.element_size() for t in tree_leaves(draw_batch(task, 0, 0, 1, loss)))
    _fits(name, samples, one * samples, "samples")


def check_steps(name: str, steps: int) -> None:
    """Raise `Misuse` if the losses of one run, one a step, do not fit into memory."""
    _fits(name, steps, 3 * LOSS * steps, "losses of one run")      # its own, the zero output's, and the schedule's factors


def count_recorded_runs(steps: int) -> int:
    """Return how many runs of so many steps may be trained at once for their losses to fit into memory; at least one."""
    return max(1, usable_memory("cpu") // (LOSS * (steps + 1)) - 2)


def check_weights(network: Specification, dtype: torch.dtype, device: str) -> None:
    """Raise `Misuse` if a specification's network does not fit into a device's memory; it is not built."""
    parameters = sum(math.prod(scaling.shape) for scaling in network.scalings())
    _fits("network", parameters, dtype.itemsize * parameters, "parameters", device)


def check_size(module: nn.Module, dtype: torch.dtype, device: str) -> None:
    """Raise `Misuse` if a network's parameters in `dtype` do not fit into a device's memory."""
    parameters = sum(p.numel() for p in module.parameters() if not is_lazy(p))
    _fits("network", parameters, dtype.itemsize * parameters, "parameters", device)


def _fits(name: str, count: int, need: int, what: str, device: str = "cpu") -> None:
    usable = usable_memory(device)
    if need > usable:
        raise Misuse(f"{name} must fit into memory, and {count} {what} need {need / GB:.3g} GB where {usable / GB:.3g} GB are free")
