"""Estimate the memory of a run before it is trained, and train as many runs at once as fit."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from deepnets.batched.state import reference_tensor, zero_differences
from deepnets.failed_runs import Failure, isolate_failures
from deepnets.fused.engine import choose_engine
from deepnets.network_factory import copy_module
from deepnets.training import Recipe, batch, held_out
from validation import estimates
from validation.arguments import Misuse
from validation.user_warnings import warn_user

T = TypeVar("T")
# The share of the free memory that is used. A GPU's products need workspace.
SAFE = {"cuda": 0.9, "cpu": estimates.SHARE}
GB = estimates.GB
SMALL = 1 << 26      # bytes up to which a step is tried on the CPU: torch's operations on meta tensors are Python, ten times slower


class Halved(UserWarning):
    """A device ran out of memory despite the estimate, and half as many runs are trained at once."""


@dataclass(frozen=True)
class Need:
    """The peak memory of training in bytes, for each run and once for all runs, without theta_0."""

    run: int
    shared: int

    def of(self, runs: int) -> int:
        """Return the bytes for so many runs."""
        return self.shared + runs * self.run


def estimate(module: nn.Module, recipe: Recipe, evaluated: bool = True) -> Need:
    """Return the need of training: u, its gradient, the optimizer's memories, moved weights, activations, held-out samples.

    A training step, a drop of runs and an evaluation on held-out samples are run with four runs and with eight, and the bytes alive at
    once are counted: on the CPU if these are few, else on meta tensors, which have no data. A module that needs data is run on the CPU.
    With `evaluated` False, the evaluation is left out. Of the fused kernels the arrays' sizes are counted.
    """
    if choose_engine(module, recipe.choose_stack(module), recipe) == "fused":
        from deepnets.fused.need import count_bytes

        return Need(*count_bytes(module, recipe, evaluated))      # type: ignore[arg-type]
    few, more = count_cheaply(lambda device, limit: [_peak(module, recipe, runs, device, limit, evaluated) for runs in (4, 8)])
    run = max(1, (more - few) // 4)      # of two runs, evaluation may be the larger part
    return Need(run, max(0, few - 4 * run))


def count_cheaply(count: Callable[[str, int | None], T]) -> T:
    """Return ``count(device, limit)``, the bytes that some work has alive at once, in the cheapest way in which they can be counted.

    Parameters
    ----------
    count : works on the device, "cpu" or "meta", inside of `Living` with that limit.
    """
    try:
        return count("cpu", SMALL)
    except Misuse:
        raise
    except Exception:      # too large, or modules and tensors cannot be moved to the CPU
        pass
    try:
        return count("meta", None)
    except Misuse:
        raise
    except Exception:      # the module makes tensors on a device of its own choice
        return count("cpu", None)


def _peak(module: nn.Module, recipe: Recipe, runs: int, device: str, limit: int | None, evaluated: bool) -> int:
    """Return the largest number of bytes alive at once."""
    workspace = reference_tensor(module).is_cuda
    module = copy_module(module).to(device)
    stack, like, optimizer = recipe.choose_stack(module), reference_tensor(module), recipe.optimizer
    recipe.task.batch(0, 0, recipe.batch_size), recipe.task.held_out()      # what a task loads and keeps is not counted
    with torch.no_grad(), torch.random.fork_rng(devices=[]), Living(device, limit, workspace) as living:
        u, running = zero_differences(module, runs), stack.start(runs)
        gamma = torch.ones(runs, dtype=like.dtype, device=device)
        memory = {n: [torch.zeros_like(d) for _ in range(optimizer.memories)] for n, d in u.items()}
        samples = held_out(recipe, like)
        if evaluated:
            stack.outputs(u, gamma, samples.parts[0][0], running)
        x, y = batch(recipe, 0, 0, like)
        _, gradient = stack.gradients(u, gamma, x, y, recipe.loss, running)
        stay = torch.arange(runs, device=device)
        u, gradient = ({n: d[stay] for n, d in tensors.items()} for tensors in (u, gradient))
        memory = {n: [m[stay] for m in tensors] for n, tensors in memory.items()}
        for n, d in u.items():
            d.add_(optimizer.direction(gradient.pop(n), memory[n], 0))
    return living.most


class TooLarge(Exception):
    """More bytes are alive at once than a count allows."""


class Living(TorchDispatchMode):
    """A context that counts the bytes of a device's tensors that are alive (`now`), and their maximum (`most`).

    With `workspace`, a convolution needs the bytes of its inputs' patches more, as the largest of cuDNN's algorithms do.

    Raises
    ------
    TooLarge : an operation has taken the bytes above `limit`.
    """

    def __init__(self, device: str, limit: int | None = None, workspace: bool = False) -> None:
        super().__init__()
        self.device, self.limit, self.workspace = device, limit, workspace
        self.now = self.most = 0
        self.counted: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False      # to skip torch's compiler, torch would load it first: three seconds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for x in tree_leaves(result):
            if isinstance(x, torch.Tensor) and x.device.type == self.device and x.layout == torch.strided:
                storage = x.untyped_storage()
                key, size = storage._cdata, storage.nbytes()
                if key not in self.counted:
                    self.counted.add(key)
                    self.now += size
                    self.most = max(self.most, self.now)
                    weakref.finalize(storage, self._forget, key, size)
        if self.workspace and "convolution" in func._schema.name:
            x, kernels = args[1:3] if "backward" in func._schema.name else args[:2]
            self.most = max(self.most, self.now + x.numel() * x.element_size() * math.prod(kernels.shape[2:]))
        if self.limit is not None and self.most > self.limit:
            raise TooLarge
        return result

    def _forget(self, key: int, size: int) -> None:
        self.counted.discard(key)
        self.now -= size


def free_memory(device: str) -> int:
    """Return the bytes that are free on a device."""
    if device.startswith("cuda"):
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)      # by torch, for this process
        return int(torch.cuda.mem_get_info(device)[0]) + cached
    return estimates.free_memory()


def usable_memory(device: str) -> int:
    """Return the bytes on a device that may be used: a share of those that are free."""
    return int(SAFE[torch.device(device).type] * free_memory(device))


def split_held_out(module: nn.Module, recipe: Recipe, device: str, need: Need) -> tuple[Recipe, Need]:
    """Return the recipe and its need, with fewer held-out samples evaluated at once where these are what does not fit.

    Raises
    ------
    Misuse : not even one held-out sample fits.
    """
    usable = usable_memory(device)
    if need.of(1) <= usable or estimate(module, recipe, evaluated=False).of(1) > usable:
        return recipe, need
    samples = len(held_out(recipe, reference_tensor(module)).parts[0][1])
    while need.of(1) > usable:
        if samples == 1:
            raise Misuse(f"out of memory: evaluating one run on a single held-out sample needs about {need.of(1) / GB:.3g} GB, and "
                         f"{usable / GB:.3g} GB are free: smaller held-out samples or a smaller network would need less")
        samples //= 2
        recipe = replace(recipe, held_out_samples=samples)
        need = estimate(module, recipe)
    return recipe, need


def count_fitting_runs(module: nn.Module, recipe: Recipe, device: str, need: Need) -> int:
    """Return how many runs fit into the usable memory of the device, at least one.

    Parameters
    ----------
    module, recipe, device : of the runs.
    need : as from `estimate`.

    Raises
    ------
    Misuse : not even one run fits; the message contains its need, the free memory, and the batch size that would fit.
    """
    usable = usable_memory(device)
    if need.of(1) > usable:
        raise Misuse(_describe_lack(module, recipe, need, usable))
    return (usable - need.shared) // need.run


def _describe_lack(module: nn.Module, recipe: Recipe, need: Need, usable: int) -> str:
    fits, low, high = "not even batch_size=1 would fit", 0, recipe.batch_size
    while high - low > 1:
        middle = (low + high) // 2
        if estimate(module, replace(recipe, batch_size=middle, held_out_samples=1)).of(1) <= usable:
            low, fits = middle, f"batch_size={middle} would fit"
        else:
            high = middle
    parameters = sum(p.numel() for p in module.parameters())
    return (f"out of memory: one run needs about {need.of(1) / GB:.3g} GB ({parameters} parameters, batch_size={recipe.batch_size}, "
            f"{recipe.optimizer.name}); {usable / GB:.3g} GB are free: {fits}")


def train_in_pieces(train: Callable[[np.ndarray], T], runs: int, most: int) -> Iterator[tuple[np.ndarray, T | Failure]]:
    """Yield runs (their indices) with the result of `train`, at most so many at once and in pieces of about equal size.

    If a device runs out of memory nevertheless, half as many are trained at once from then on.

    Parameters
    ----------
    train : called with indices of runs.
    runs, most : how many there are, and how many are trained at once.

    Raises
    ------
    Misuse : a single run does not fit.

    Warns
    -----
    Halved : when a device runs out of memory for the first time.
    """
    left, warned = _split(np.arange(runs), most), False
    while left:
        results = _train_if_fits(train, left[0])
        if results is not None:
            left.pop(0)
            yield from results
            continue
        most = len(left[0]) // 2
        if most == 0:
            raise Misuse("out of memory: a single run does not fit into the free memory of the device; "
                         "a smaller batch_size or network, or float32 instead of float64, needs less")
        if not warned:
            warn_user(f"out of memory with {len(left[0])} runs at once: {most} are trained at once from here on", Halved)
            warned = True
        left = [piece for chunk in left for piece in _split(chunk, most)]
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _train_if_fits(train: Callable[[np.ndarray], T], which: np.ndarray) -> list[tuple[np.ndarray, T | Failure]] | None:
    """Return runs with their results, or None if the memory did not suffice; the attempt's own memory is free again by then."""
    try:
        return list(isolate_failures(train, which))
    except (torch.OutOfMemoryError, MemoryError):
        return None


def _split(which: np.ndarray, most: int) -> list[np.ndarray]:
    return np.array_split(which, -(-len(which) // most))
