"""A stack of runs of one network, each with its own u and gamma: centred outputs and gradients for all at once; knows no optimizer.

All runs share theta_0, the batch and the frozen activations. `VectorisedStack` takes any module (vmap over pairs), `MLPStack` the ReLU
and linear MLPs, whose pairs and gradients are written out as batched products, and `CNNStack` such CNNs, as grouped convolutions.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import nn

from deepnets.batched.cnn_stack import CNNStack
from deepnets.batched.state import Parameters, Running, at_rest
from deepnets.batched.vmap_stack import VectorisedStack
from deepnets.losses import Loss
from deepnets.networks.cnn import ConvolutionsThenDense
from deepnets.networks.layers import ScaledLinear
from deepnets.networks.mlp import StackOfLayers
from deepnets.precision import bmm, mm, multiplied, operand

__all__ = ["CNNStack", "MLPStack", "Parameters", "Stack", "VectorisedStack", "at_rest", "stack_of"]


class Stack(Protocol):
    """P runs of one network; every tensor of u has shape (P, *shape). `draws`: whether it may draw random numbers."""

    draws: bool

    def outputs(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor, running: Running | None = None) -> torch.Tensor:
        """Return the centred outputs in evaluation mode, (P, batch, ..., K); gamma (P,), x (batch, ...)."""
        ...

    def gradients(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor, y: torch.Tensor, loss: Loss,
                  running: Running | None = None) -> tuple[torch.Tensor, Parameters]:
        """Return the loss of each run, (P,), and its gradient in u, and move the running statistics (None: there are none yet)."""
        ...


def stack_of(module: nn.Module, compile: bool | str = False) -> Stack:
    """Return the fastest stack that the module allows; `compile` as of `recording.Recorded`, where there is something to record."""
    if isinstance(module, StackOfLayers) and module.nonlinearity in ("relu", "linear"):
        return MLPStack(module)
    if isinstance(module, ConvolutionsThenDense) and isinstance(module.activation, nn.ReLU | nn.Identity):
        return CNNStack(module)
    return VectorisedStack(module, compile)


class MLPStack:
    """ReLU and linear MLPs: ``d' = m (d W_0^T + h u^T)`` with ``h = h_0 + gamma d``, and the gradient in u is ``m delta^T h``."""

    draws = False

    def __init__(self, module: StackOfLayers) -> None:
        self.layers: list[ScaledLinear] = list(module.layers)     # type: ignore[arg-type]
        self.rectified = module.nonlinearity == "relu"

    def outputs(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor, running: Running | None = None) -> torch.Tensor:
        """Return the centred outputs, (P, batch, K)."""
        return self._forward(u, gamma, x)[0]

    def _forward(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, list[Any]]:
        """Return the outputs, and for each layer its inputs in the moved network, and which of them are on."""
        g = gamma[:, None, None]
        frozen, d, on = x.flatten(1), None, None
        moved = operand(frozen).expand(len(g), *frozen.shape)                    # h_0 + gamma d: (P, batch, in)
        kept: list[Any] = []
        for i, layer in enumerate(self.layers):
            kept.append((moved, on))
            move, weight = operand(u[f"layers.{i}.weight"]), operand(layer.weight.mT)
            if d is None:
                d = bmm(moved, move.mT).mul_(layer.multiplier)                   # (P, batch, out)
            else:
                d = mm(operand(d).flatten(0, 1), weight).unflatten(0, d.shape[:2])
                d = multiplied(d, moved, move.mT, layer.multiplier)
            frozen = mm(operand(frozen), weight).mul_(layer.multiplier)
            if layer.bias is not None:
                d += u[f"layers.{i}.bias"][:, None, :]
                frozen = frozen + layer.bias
            if self.rectified and i < len(self.layers) - 1:
                # as in pairs/pointwise.py: on, d + min(r, 0); off, -max(r, 0), with r = h_0/gamma; that is the larger of the two
                below, floor = d.addcdiv_(frozen.clamp(max=0), g), -frozen.clamp_(min=0) / g
                on = below > floor
                d = torch.maximum(below, floor, out=floor)
                moved = operand(torch.addcmul(frozen, g, d).mul_(on))            # off is exactly 0
            elif i < len(self.layers) - 1:
                moved = operand(torch.addcmul(frozen, g, d))
        assert d is not None
        return d, kept

    def gradients(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor, y: torch.Tensor, loss: Loss,
                  running: Running | None = None) -> tuple[torch.Tensor, Parameters]:
        """Return the loss of each run, (P,), and its gradient in u."""
        g = gamma[:, None, None]
        output, kept = self._forward(u, gamma, x)
        delta = loss.slope(output, y)                                            # (P, batch, out)
        gradient: Parameters = {}
        for i in reversed(range(len(kept))):
            inputs, on = kept.pop()
            layer = self.layers[i]
            if layer.bias is not None:
                gradient[f"layers.{i}.bias"] = delta.sum(1)
            delta = operand(delta.mul_(layer.multiplier))
            gradient[f"layers.{i}.weight"] = bmm(delta.mT, inputs)
            if i > 0:
                delta = bmm(delta, operand(torch.addcmul(layer.weight, g, u[f"layers.{i}.weight"])))
                if on is not None:
                    delta.mul_(on)
        return loss.value(output, y), gradient
