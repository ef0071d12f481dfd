"""Train runs of any module as one batch: pairs under `vmap`."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.func import grad_and_value, vjp, vmap

from deepnets.batched.copies_stack import copy_inputs
from deepnets.batched.graph import RecordedFunction
from deepnets.batched.state import Parameters, RunningStatistics, evaluation_mode
from deepnets.centered.functional import substitute
from deepnets.centered.propagation import propagate_pairs
from deepnets.losses import Loss


class VectorisedStack:
    """Runs of any module. They share batches and dropout masks; each has its own running statistics.

    Parameters
    ----------
    module : holds theta_0, in the mode (training or evaluation) in which it is to be trained.
    compile : whether the training step is compiled, as of `deepnets.batched.graph.RecordedFunction`.
    centred : False: the outputs are f/gamma.
    steps : of a training; None: unknown.
    """

    draws = True

    def __init__(self, module: nn.Module, compile: bool | str = False, centred: bool = True, steps: int | None = None) -> None:
        self.module, self.compile, self.centred, self.steps = module, compile, centred, steps
        self._steps: dict[Any, RecordedFunction] = {}

    def start(self, runs: int) -> RunningStatistics:
        """Return the state at initialization."""
        return RunningStatistics.of_module(self.module, runs)

    def outputs(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor, running: RunningStatistics | None = None) -> torch.Tensor:
        """Return the outputs in evaluation mode, (P, batch, ..., K)."""
        x, running = copy_inputs(x), running or RunningStatistics.of_module(self.module, len(gamma))
        with torch.no_grad(), evaluation_mode(self.module), substitute(self.module, running.frozen):
            return vmap(lambda d, g, e: propagate_pairs(self.module, d, g, (x,), drift=e, centred=self.centred)[0],
                        randomness="same")(u, gamma, running.drift)

    def gradients(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor, y: torch.Tensor, loss: Loss,
                  running: RunningStatistics | None = None) -> tuple[torch.Tensor, Parameters]:
        """Return the loss of each run, (P,), and its gradient in u; update `running` in place."""
        running = running or RunningStatistics.of_module(self.module, len(gamma))
        key = (id(loss), self.module.training)      # a loss of one's own may have no hash; the step refers to it, so that the id stays its
        if key not in self._steps:
            self._steps[key] = RecordedFunction(self._build_step(loss), self.compile, self.steps)
        value, gradient, frozen, drift = self._steps[key](u, gamma, copy_inputs(x), y, running.frozen, running.drift)
        if self.module.training:
            running.update(frozen, drift)
        return value, gradient

    def _build_step(self, loss: Loss) -> Any:
        """Return the training step as a pure function of everything that changes between steps."""
        def step(u: Parameters, gamma: torch.Tensor, x: torch.Tensor, y: torch.Tensor, frozen: Parameters, drift: Parameters) -> Any:
            def one(d: Parameters, g: torch.Tensor, e: Parameters) -> Any:
                output, moved = propagate_pairs(self.module, d, g, (x,), drift=e, centred=self.centred)
                return (loss.value(output, y) if loss.closed_form else output), ({n: p.v0 for n, p in moved.items()},
                                                                                 {n: p.d for n, p in moved.items()})

            if not loss.closed_form:      # one of the user's may fail under transforms
                with substitute(self.module, frozen):
                    f, backward, (v0, difference) = vjp(lambda d: vmap(one, randomness="same")(d, gamma, drift), u, has_aux=True)  # type: ignore[misc]
                    gradient, value = backward(loss.slope(f, y))[0], loss.value(f, y)
                return value, gradient, {n: v[0] for n, v in v0.items()}, difference
            with substitute(self.module, frozen):
                gradient, (value, (v0, difference)) = vmap(grad_and_value(one, has_aux=True), randomness="same")(u, gamma, drift)
            # the frozen network's statistics are the same in every run
            return value, gradient, {n: v[0] for n, v in v0.items()}, difference
        return step
