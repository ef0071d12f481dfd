"""Evaluate a stack of runs on held-out samples: loss, accuracy, and whether a network is dead."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from deepnets.batched.copies_stack import copy_inputs
from deepnets.batched.stack import Stack
from deepnets.batched.state import Parameters, RunningStatistics
from deepnets.losses import Loss
from deepnets.tasks.task import Inputs, select_inputs

ROWS = 64               # of outputs at a time, or a batch if it has more: larger parts do not fit into a CPU's cache
CONSTANT = 1e-6         # the largest relative variation of a dead network's output


class HeldOut:
    """Samples that are in no batch, in parts that fit into the cache.

    Parameters
    ----------
    x, y : inputs and targets (see `Loss.target`), on the device and of the dtype of the network.
    labels : class indices, (n,) or (n, length); None where the targets are numbers.
    batch_size : samples of a training step.
    at_once : samples in a part; None: as many as a batch, or as have `ROWS` outputs if these are more.
    ignore_index : of labels that do not count; None: there are none.
    """

    def __init__(self, x: Inputs, y: torch.Tensor, labels: torch.Tensor | None, batch_size: int, at_once: int | None = None,
                 ignore_index: int | None = None) -> None:
        self.labels, self.ignore_index = labels, ignore_index
        size = at_once or max(batch_size, ROWS // max(1, 1 if labels is None else labels[0].numel()))
        starts = range(0, len(y), size)
        self.parts = [(select_inputs(x, slice(i, i + size)), y[i:i + size]) for i in starts]
        self.label_parts = labels.split(size) if labels is not None else [None] * len(self.parts)

    @torch.no_grad()
    def evaluate(self, stack: Stack, u: Parameters, gamma: torch.Tensor, running: RunningStatistics,
                 loss: Loss) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss of each run and its accuracy (NaN where there are no classes, or an output is not finite); both (P,), float64."""
        total, right = gamma.new_zeros(len(gamma), dtype=torch.float64), gamma.new_zeros(len(gamma), dtype=torch.float64)
        finite = torch.ones_like(gamma, dtype=torch.bool)
        n = 0
        for (x, y), labels in zip(self.parts, self.label_parts, strict=True):
            counted = None if self.ignore_index is None or y.is_floating_point() else y != self.ignore_index
            weight = len(y) if counted is None else int(counted.sum())
            if weight == 0:
                continue
            n += weight
            f = stack.outputs(u, gamma, x, running)
            total += loss.value(f, y).double() * weight
            if labels is not None:
                hit = f.argmax(-1) == labels
                right += (hit.double().flatten(1).mean(1) if counted is None else (hit & counted).flatten(1).sum(1) / weight) * weight
                finite &= torch.isfinite(f).flatten(1).all(1)
        accuracy = torch.where(finite, right / n, torch.nan) if self.labels is not None else torch.full_like(right, torch.nan)
        return total / n, accuracy

    @torch.no_grad()
    def find_dead(self, module: nn.Module, u: Parameters, gamma: torch.Tensor, running: RunningStatistics) -> torch.Tensor:
        """Return which networks (not their differences) have the same output for every input, bool (P,) on the CPU.

        For most networks the first part of the samples shows that they do not; the device is waited for once, and once more for each
        network that needs the others.
        """
        first = self.parts[:1]
        constant = torch.stack([_is_constant(network, first) for network in running.moved_networks(module, u, gamma)]).cpu()
        if len(self.parts) > 1 and constant.any():
            for i, network in enumerate(running.moved_networks(module, u, gamma)):
                if constant[i]:
                    constant[i] = bool(_is_constant(network, self.parts))
        return constant


def _is_constant(network: Callable[[torch.Tensor], torch.Tensor], parts: list[tuple[Inputs, torch.Tensor]]) -> torch.Tensor:
    """Return whether all samples have the output of the first, as a tensor without dimensions."""
    constant: torch.Tensor | None = None
    first = None
    for x, _ in parts:
        f = network(copy_inputs(x))      # a module may write into its inputs
        first = f[:1] if first is None else first
        largest = f.abs().amax()      # not finite: the output has overflowed, and differs from sample to sample
        same = torch.isfinite(largest) & ((f - first).abs().amax() <= CONSTANT * largest)
        constant = same if constant is None else constant & same
    assert constant is not None
    return constant
