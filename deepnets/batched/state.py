"""State of a stack of runs between steps: the parameters u and the running statistics of batch normalisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from deepnets.centered.functional import statistics, substitute, trainable
from deepnets.centered.propagation import as_complex

TOO_FAR = 1e30           # a parameter beyond it has diverged

Parameters = dict[str, torch.Tensor]


def zero_differences(module: nn.Module, runs: int) -> Parameters:
    """Return u = 0, the state at initialization: tensors (runs, *shape) by parameter name.

    That of a complex parameter is real, (runs, *shape, 2): its real and imaginary part.
    """
    return {n: (p.new_zeros((runs, *p.shape, 2), dtype=p.dtype.to_real()) if p.is_complex() else p.new_zeros((runs, *p.shape)))
            for n, p in trainable(module).items()}


def real_parameters(module: nn.Module) -> Parameters:
    """Return theta_0 by parameter name; that of a complex parameter is its real and imaginary part, (*shape, 2)."""
    return {n: torch.view_as_real(p) if p.is_complex() else p for n, p in trainable(module).items()}


def find_finite(u: Parameters, gamma: torch.Tensor) -> torch.Tensor:
    """Return which runs have no parameter beyond 1e30, and all finite, (P,)."""
    largest = torch.stack([d.reshape(len(d), -1).abs().amax(1) for d in u.values()]).amax(0)
    return largest.double() * gamma.double() <= TOO_FAR


def reference_tensor(module: nn.Module) -> torch.Tensor:
    """Return a tensor of the dtype and on the device of a module's u."""
    return next(iter(real_parameters(module).values()))


@dataclass
class RunningStatistics:
    """Running statistics of a stack, updated in place: each of P networks has its own.

    Attributes
    ----------
    frozen : those of the network at theta_0 on the same batches, and their batch counters, by buffer name; shared by all runs.
    drift : (each run's statistics - frozen)/gamma, by buffer name, (P, *shape).
    """

    frozen: Parameters
    drift: Parameters

    @classmethod
    def of_module(cls, module: nn.Module, runs: int) -> RunningStatistics:
        """Return the module's own running statistics for `runs` runs, without drift."""
        moving, buffers = statistics(module), dict(module.named_buffers())
        counters = [n for n in buffers if n.endswith("num_batches_tracked")]
        return cls({n: buffers[n].clone() for n in (*moving, *counters)},
                   {n: buffers[n].new_zeros((runs, *buffers[n].shape)) for n in moving})

    def update(self, frozen: Parameters, drift: Parameters) -> None:
        """Store the statistics after one step in training mode, and count the step."""
        for n, counter in self.frozen.items():
            self.frozen[n] = frozen[n] if n in frozen else counter + 1
        self.drift.update(drift)

    def moved_networks(self, module: nn.Module, u: Parameters, gamma: torch.Tensor) -> Iterator[Callable[[torch.Tensor], torch.Tensor]]:
        """Yield each run's network ``f(theta_0 + gamma u)`` as a function of inputs, in evaluation mode; `module` holds theta_0."""
        theta = {n: p.detach() for n, p in module.named_parameters() if n in u}
        buffers = {n: b.clone() for n, b in module.named_buffers()} | self.frozen
        for i, g in enumerate(gamma):
            moved = {n: p + g * as_complex(u[n][i], p) for n, p in theta.items()}
            statistics = {n: buffers[n] + g * d[i] for n, d in self.drift.items()}
            with evaluation_mode(module), substitute(module, moved | buffers | statistics):
                yield module

    def select_runs(self, indices: torch.Tensor) -> RunningStatistics:
        """Return the statistics of the runs at these indices, (Q,) whole numbers."""
        return RunningStatistics(self.frozen, {n: d[indices] for n, d in self.drift.items()})


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode; restore the mode of each submodule at the end."""
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for m, training in modes:
            m.training = training
