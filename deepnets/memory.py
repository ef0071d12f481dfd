"""Memory: what a run takes before it is trained, and how many fit at once; knows no portrait."""

from __future__ import annotations

import copy
import os
import warnings
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from deepnets.batched.stack import choose_stack
from deepnets.batched.state import RunningStatistics, zero_differences
from deepnets.failed_runs import Failure, salvaged
from deepnets.training import Recipe, batch, held_out
from validation.arguments import Misuse

T = TypeVar("T")
# Of what is free. A GPU's products want room of their own; the C library's allocator keeps up to as much again as is in use.
SAFE = {"cuda": 0.9, "cpu": 0.5}
GB = 1e9


class Halved(UserWarning):
    """A device ran out of memory in spite of the estimate; fewer runs are trained at once."""


@dataclass(frozen=True)
class Need:
    """What training needs at its peak, in bytes: for each run, and once for all of them; theta_0 itself is left out."""

    run: int
    shared: int

    def of(self, runs: int) -> int:
        """Return the bytes that so many runs need."""
        return self.shared + runs * self.run


def estimate(module: nn.Module, recipe: Recipe) -> Need:
    """Return what training needs: u, its gradient, the optimizer's memories, moved weights, activations, held-out samples.

    One step of two runs and of four, its update, the packing of a stack and a look at what is held out are gone through on tensors
    without numbers, and what lives at once is counted: the same arithmetic, at no cost. A module that insists on numbers gets them.
    """
    try:
        few, more = (_peak(module, recipe, runs, "meta") for runs in (2, 4))
    except Misuse:
        raise
    except Exception:      # a constant of the module's own, made on another device
        few, more = (_peak(module, recipe, runs, "cpu") for runs in (2, 4))
    run = max(1, (more - few) // 2)
    return Need(run, max(0, few - 2 * run))


def _peak(module: nn.Module, recipe: Recipe, runs: int, device: str) -> int:
    """Return the bytes that live at once, at most."""
    module = copy.deepcopy(module).to(device)
    stack, like, optimizer = choose_stack(module), next(module.parameters()), recipe.optimizer
    with torch.no_grad(), torch.random.fork_rng(devices=[]), Living(device) as living:
        u, running = zero_differences(module, runs), RunningStatistics.of_module(module, runs)
        gamma = torch.ones(runs, dtype=like.dtype, device=device)
        memory = {n: [torch.zeros_like(d) for _ in range(optimizer.memories)] for n, d in u.items()}
        samples = held_out(recipe, like)
        stack.outputs(u, gamma, samples.parts[0][0], running)
        x, y = batch(recipe, 0, 0, like)
        _, gradient = stack.gradients(u, gamma, x, y, recipe.loss, running)
        stay = torch.arange(runs, device=device)
        u, gradient = ({n: d[stay] for n, d in held.items()} for held in (u, gradient))
        memory = {n: [m[stay] for m in held] for n, held in memory.items()}
        for n, d in u.items():
            d.add_(optimizer.direction(gradient.pop(n), memory[n], 0))
    return living.most


class Living(TorchDispatchMode):
    """Counts the bytes of the tensors made within it on a device that are alive, and the most that there were at once."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device
        self.now = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for x in tree_leaves(made):
            if isinstance(x, torch.Tensor) and x.device.type == self.device:
                storage = x.untyped_storage()
                key, size = storage._cdata, storage.nbytes()
                if key not in self.known:
                    self.known.add(key)
                    self.now += size
                    self.most = max(self.most, self.now)
                    weakref.finalize(storage, self._gone, key, size)
        return made

    def _gone(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


def free(device: str) -> int:
    """Return the bytes that are free on a device."""
    if device.startswith("cuda"):
        ours = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)      # kept for us by torch, and not in use
        return int(torch.cuda.mem_get_info(device)[0]) + ours
    try:
        with open("/proc/meminfo") as told:
            return next(int(line.split()[1]) * 1024 for line in told if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def room(device: str) -> int:
    """Return the bytes that may be used of those that are free on a device."""
    return int(SAFE[torch.device(device).type] * free(device))


def at_once(module: nn.Module, recipe: Recipe, device: str, need: Need) -> int:
    """Return how many runs fit into what is free on the device, at least one.

    Parameters
    ----------
    module, recipe, device : of the runs.
    need : as `estimate` gives it.

    Raises
    ------
    Misuse : not even one fits; the message says what it needs, what is free, and which batch size would fit.
    """
    there = room(device)
    if need.of(1) > there:
        raise Misuse(_too_much(module, recipe, need, there))
    return (there - need.shared) // need.run


def _too_much(module: nn.Module, recipe: Recipe, need: Need, room: int) -> str:
    fits, low, high = "not even batch_size=1 would fit", 0, recipe.batch_size
    while high - low > 1:
        middle = (low + high) // 2
        if estimate(module, replace(recipe, batch_size=middle)).of(1) <= room:
            low, fits = middle, f"batch_size={middle} would fit"
        else:
            high = middle
    parameters = sum(p.numel() for p in module.parameters())
    return (f"out of memory: one run needs about {need.of(1) / GB:.3g} GB ({parameters} parameters, batch_size={recipe.batch_size}, "
            f"{recipe.optimizer.name}); {room / GB:.3g} GB are free: {fits}")


def in_pieces(train: Callable[[np.ndarray], T], runs: int, most: int) -> Iterator[tuple[np.ndarray, T | Failure]]:
    """Yield runs (indices), at most so many at once and in pieces of about equal size, with what `train` made of them.

    Where a device runs out of memory all the same, half as many are taken from there on.

    Raises
    ------
    Misuse : one run by itself does not fit.
    """
    left, told = _cut(np.arange(runs), most), False
    while left:
        made = _unless_full(train, left[0])
        if made is not None:
            left.pop(0)
            yield from made
            continue
        most = len(left[0]) // 2
        if most == 0:
            raise Misuse("out of memory: one run by itself does not fit into what is free on the device; "
                         "a smaller batch_size or network, or a narrower precision, needs less")
        if not told:
            warnings.warn(f"out of memory with {len(left[0])} runs at once: {most} are taken from here on", Halved, stacklevel=3)
            told = True
        left = [piece for chunk in left for piece in _cut(chunk, most)]
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _unless_full(train: Callable[[np.ndarray], T], which: np.ndarray) -> list[tuple[np.ndarray, T | Failure]] | None:
    """Return what became of the runs, or None where the memory did not suffice; what the attempt held is let go by then."""
    try:
        return list(salvaged(train, which))
    except (torch.OutOfMemoryError, MemoryError):
        return None


def _cut(which: np.ndarray, most: int) -> list[np.ndarray]:
    return np.array_split(which, -(-len(which) // most))
