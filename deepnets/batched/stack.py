"""The interface of a stack of runs, and the choice of the fastest stack that a network allows.

All runs of a stack share theta_0, the batch and the frozen activations; each has its own u and gamma.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import nn

from deepnets.batched.cnn_stack import CNNStack
from deepnets.batched.copies_stack import CopiesStack
from deepnets.batched.mlp_stack import MLPStack
from deepnets.batched.state import Parameters, RunningStatistics
from deepnets.batched.vmap_stack import VectorisedStack
from deepnets.losses import Loss
from deepnets.networks.cnn import ConvolutionsThenDense
from deepnets.networks.mlp import StackOfLayers


class Stack(Protocol):
    """P runs of one network; every tensor of u has shape (P, *shape).

    Attributes
    ----------
    draws : whether it may draw random numbers.
    """

    draws: bool

    def start(self, runs: int) -> Any:
        """Return the state at initialization that `outputs` and `gradients` take as `running`: what networks move themselves.

        It has the methods `select_runs` and `moved_networks` of `deepnets.batched.state.RunningStatistics`.
        """
        ...

    def outputs(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor, running: RunningStatistics | None = None) -> torch.Tensor:
        """Return the centred outputs (or f/gamma, of an uncentred stack) in evaluation mode, (P, batch, ..., K).

        Parameters
        ----------
        u : tensors by parameter name, as of `deepnets.batched.state.zero_differences`.
        gamma : (P,), > 0.
        x : inputs (batch, ...), the same for all runs.
        running : running statistics; None: those of theta_0.
        """
        ...

    def gradients(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor, y: torch.Tensor, loss: Loss,
                  running: RunningStatistics | None = None) -> tuple[torch.Tensor, Parameters]:
        """Return the loss of each run, (P,), and its gradient in u; update the running statistics in place.

        Parameters
        ----------
        u, gamma, x, running : as of `outputs`.
        y : targets (batch, ..., K).
        loss : of one batch.
        """
        ...


def choose_stack(module: nn.Module, compile: bool | str = False, method: str = "pairs", centred: bool = True,
                 drawn: torch.dtype = torch.float64, steps: int | None = None) -> Stack:
    """Return the fastest stack that the module allows: `MLPStack` or `CNNStack` with ReLU or no nonlinearity, else `VectorisedStack`.

    Parameters
    ----------
    module : holds theta_0, in the mode (training or evaluation) in which it is to be trained.
    compile : True, False or "auto", as of `deepnets.batched.graph.RecordedFunction`; used by `VectorisedStack` alone.
    method : "pairs", or "copies" for `CopiesStack`.
    centred : False: the outputs are f/gamma.
    drawn : the dtype in which copies draw random numbers.
    steps : of a training, by which "auto" decides whether compiling pays; None: unknown.
    """
    if method == "copies":
        return CopiesStack(module, centred, drawn)
    if isinstance(module, StackOfLayers) and module.nonlinearity in ("relu", "linear"):
        return MLPStack(module, centred)
    if isinstance(module, ConvolutionsThenDense) and isinstance(module.activation, nn.ReLU | nn.Identity):
        return CNNStack(module, centred)
    return VectorisedStack(module, compile, centred, steps)
