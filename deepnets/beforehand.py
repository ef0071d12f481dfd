"""What is refused before anything is trained or written: samples, losses, weights for which there is no memory; knows no training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from deepnets.memory import GB, room
from deepnets.tasks import Task
from deepnets.tasks.stream import drawn
from validation.misuse import Misuse

LOSS = 8      # bytes


def check_samples(name: str, samples: int, task: Task) -> None:
    """Raise `Misuse` if so many samples of a task do not fit into memory; one of them is drawn."""
    one = sum(t.numel() * t.element_size() for t in drawn(task, 0, 0, 1))
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
