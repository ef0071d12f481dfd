"""Replay the steps of a small stack from one CUDA graph: the host then launches them at once, and not kernel by kernel.

A graph keeps the addresses of its tensors: batches and rates are copied to where it reads them, and u stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from deepnets.batched.graph import NotRecorded
from deepnets.behaviour import name_error
from validation.user_warnings import warn_user

MOST = 2**24      # numbers of u and of activations: a larger stack computes longer than the host takes to launch its kernels

Step = tuple[torch.Tensor, torch.Tensor, torch.Tensor]      # inputs and targets of a batch, and the rates (P,)
Steps = Callable[[Iterable[Step], int], tuple[torch.Tensor, ...]]


def pays(like: torch.Tensor, numbers: int) -> bool:
    """Return whether a stack of so many numbers on the device of `like` is launched more slowly than it computes."""
    return like.is_cuda and numbers <= MOST


def capture(function: Callable[[], Any], device: torch.device) -> tuple[Callable[[], Any], Any]:
    """Record the kernels of `function()` as a CUDA graph, without running them; return what runs them, and the result to be."""
    with torch.cuda.device(device):
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):      # a sweep measures in a thread of its own
            result = function()
    return graph.replay, result


class Replay:
    """Calls ``take_steps(steps, count)``: if that pays, from a graph from the second full chunk on; the first makes the libraries ready.

    If recording fails, the steps run kernel by kernel, with a `NotRecorded` warning.

    Attributes
    ----------
    replayed : how many steps ran from a graph.
    """

    def __init__(self, take_steps: Steps, full: int, device: torch.device, pays: bool, replayed: int = 0) -> None:
        self.take_steps, self.full, self.device, self.pays, self.replayed = take_steps, full, device, pays, replayed
        self.calls = 0
        self.run: Callable[[], Any] | None = None

    def __call__(self, steps: Iterable[Step], count: int) -> tuple[torch.Tensor, ...]:
        """Return what `take_steps` does for the next `count` steps."""
        if not self.pays or count != self.full:
            return self.take_steps(steps, count)
        self.calls += 1
        if self.calls == 1:
            return self.take_steps(steps, count)
        given = list(steps)
        if self.run is None:
            self._record(given)
        if self.run is None:
            return self.take_steps(given, count)
        for inputs, step in zip(self.inputs, given, strict=True):
            for to, x in zip(inputs, step, strict=True):
                to.copy_(x)
        self.run()
        self.replayed += count
        return tuple(x.clone() for x in self.result)

    def _record(self, given: list[Step]) -> None:
        self.inputs = [(x.clone(), y.clone(), rate.clone()) for x, y, rate in given]
        try:
            self.run, self.result = capture(lambda: self.take_steps(self.inputs, self.full), self.device)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            self.pays = False
            warn_user(f"the steps could not be recorded as a CUDA graph ({name_error(error)}); they run kernel by kernel", NotRecorded)
