"""A stack of runs of any module: pairs under `vmap`; knows no optimizer and no particular network."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.func import grad_and_value, vmap

from deepnets.batched.graph import Recorded
from deepnets.batched.state import Parameters, Running, evaluating
from deepnets.centered.functional import slotted
from deepnets.centered.propagation import by_pairs
from deepnets.losses import Loss


class VectorisedStack:
    """Any module: pairs under vmap. Dropout masks and batches are the same for all runs; each has its own running statistics.

    Parameters
    ----------
    module : holds theta_0; in the mode in which it is to be trained.
    compile : see `recording.Recorded`, of the training step.
    """

    draws = True

    def __init__(self, module: nn.Module, compile: bool | str = False) -> None:
        self.module, self.compile = module, compile
        self._steps: dict[Any, Recorded] = {}

    def outputs(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor, running: Running | None = None) -> torch.Tensor:
        """Return the centred outputs in evaluation mode, (P, batch, ..., K)."""
        running = running or Running.of(self.module, len(gamma))
        with torch.no_grad(), evaluating(self.module), slotted(self.module, running.frozen):
            return vmap(lambda d, g, e: by_pairs(self.module, d, g, (x,), drift=e)[0], randomness="same")(u, gamma, running.drift)

    def gradients(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor, y: torch.Tensor, loss: Loss,
                  running: Running | None = None) -> tuple[torch.Tensor, Parameters]:
        """Return the loss of each run, (P,), and its gradient in u; `running` is moved."""
        running = running or Running.of(self.module, len(gamma))
        key = (loss, self.module.training)
        if key not in self._steps:
            self._steps[key] = Recorded(self._step(loss), self.compile)
        value, gradient, frozen, drift = self._steps[key](u, gamma, x, y, running.frozen, running.drift)
        if self.module.training:
            running.move(frozen, drift)
        return value, gradient

    def _step(self, loss: Loss) -> Any:
        """Return the step as a pure function of all that changes from one to the next."""
        def step(u: Parameters, gamma: torch.Tensor, x: torch.Tensor, y: torch.Tensor, frozen: Parameters, drift: Parameters) -> Any:
            def one(d: Parameters, g: torch.Tensor, e: Parameters) -> Any:
                output, moved = by_pairs(self.module, d, g, (x,), drift=e)
                return loss.value(output, y), ({n: p.v0 for n, p in moved.items()}, {n: p.d for n, p in moved.items()})

            with slotted(self.module, frozen):
                gradient, (value, (v0, difference)) = vmap(grad_and_value(one, has_aux=True), randomness="same")(u, gamma, drift)
            return value, gradient, {n: v[0] for n, v in v0.items()}, difference       # the frozen network's are the same in every run
        return step
