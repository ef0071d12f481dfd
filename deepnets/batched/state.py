"""What a stack of runs carries from step to step besides its optimizer's memory: u and running statistics; knows no loss, no stack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from deepnets.centered.functional import statistics, trainable

Parameters = dict[str, torch.Tensor]


def at_rest(module: nn.Module, runs: int) -> Parameters:
    """Return u = 0 for so many runs."""
    return {n: p.new_zeros((runs, *p.shape)) for n, p in trainable(module).items()}


@dataclass
class Running:
    """The running statistics of a stack, moved in place: P networks differ from the frozen one in these too.

    Attributes
    ----------
    frozen : of the network at theta_0, which sees the same batches, and the counters of these, by buffer name; shared by all runs.
    drift : each run's difference from them over gamma, by buffer name, (P, *shape).
    """

    frozen: Parameters
    drift: Parameters

    @classmethod
    def of(cls, module: nn.Module, runs: int) -> Running:
        """Return a module's running statistics as they are, and so many runs that do not differ from it."""
        moving, buffers = statistics(module), dict(module.named_buffers())
        counters = [n for n in buffers if n.endswith("num_batches_tracked")]
        return cls({n: buffers[n].clone() for n in (*moving, *counters)},
                   {n: buffers[n].new_zeros((runs, *buffers[n].shape)) for n in moving})

    def move(self, frozen: Parameters, drift: Parameters) -> None:
        """Take what one step in training mode has left, and count it."""
        for n, counter in self.frozen.items():
            self.frozen[n] = frozen[n] if n in frozen else counter + 1
        self.drift.update(drift)

    def of_runs(self, stay: torch.Tensor) -> Running:
        """Return the statistics of the runs of these indices."""
        return Running(self.frozen, {n: d[stay] for n, d in self.drift.items()})


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, and every part of it back into its own."""
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for m, training in modes:
            m.training = training
