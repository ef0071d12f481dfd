"""A stack of runs of one network, each with its own u and gamma: centred outputs and gradients for all at once; knows no optimizer.

All runs share theta_0, the batch and the frozen activations. `VectorisedStack` takes any module (vmap over pairs), `MLPStack` the ReLU
and linear MLPs, whose pairs and gradients are written out as batched products.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import nn
from torch.func import grad_and_value, vmap

from deepnets.losses import Loss
from deepnets.networks.layers import ScaledLinear
from deepnets.networks.mlp import StackOfLayers
from deepnets.propagation import by_pairs
from deepnets.slots import trainable

Parameters = dict[str, torch.Tensor]


class Stack(Protocol):
    """P runs of one network; every tensor of u has shape (P, *shape). `draws`: whether it may draw random numbers."""

    draws: bool

    def outputs(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return the centred outputs, (P, batch, K); gamma (P,), x (batch, ...)."""
        ...

    def gradients(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor, y: torch.Tensor,
                  loss: Loss) -> tuple[torch.Tensor, Parameters]:
        """Return the loss of each run, (P,), and its gradient in u."""
        ...


def stack_of(module: nn.Module) -> Stack:
    """Return the fastest stack that the module allows."""
    fast = isinstance(module, StackOfLayers) and module.nonlinearity in ("relu", "linear")
    return MLPStack(module) if fast else VectorisedStack(module)     # type: ignore[arg-type]


class VectorisedStack:
    """Any module: pairs under vmap. Dropout masks and batches are the same for all runs; batch norms take batch statistics."""

    draws = True

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def outputs(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return the centred outputs, (P, batch, K)."""
        with torch.no_grad():
            return vmap(lambda d, g: by_pairs(self.module, d, g, (x,))[0], randomness="same")(u, gamma)

    def gradients(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor, y: torch.Tensor,
                  loss: Loss) -> tuple[torch.Tensor, Parameters]:
        """Return the loss of each run, (P,), and its gradient in u."""
        def one(d: Parameters, g: torch.Tensor) -> torch.Tensor:
            return loss.value(by_pairs(self.module, d, g, (x,))[0], y)

        gradient, value = vmap(grad_and_value(one), randomness="same")(u, gamma)
        return value, gradient


class MLPStack:
    """ReLU and linear MLPs: ``d' = m (d W_0^T + h u^T)`` with ``h = h_0 + gamma d``, and the gradient in u is ``m delta^T h``."""

    draws = False

    def __init__(self, module: StackOfLayers) -> None:
        self.layers: list[ScaledLinear] = list(module.layers)     # type: ignore[arg-type]
        self.rectified = module.nonlinearity == "relu"

    def outputs(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return the centred outputs, (P, batch, K)."""
        return self._forward(u, gamma, x)[0]

    def _forward(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, list[Any]]:
        """Return the outputs, and for each layer its inputs in the moved network, and which of them are on."""
        g = gamma[:, None, None]
        frozen, d, on = x.flatten(1), None, None
        moved = frozen                                                           # h_0 + gamma d: (P, batch, in), once it differs
        kept: list[Any] = []
        for i, layer in enumerate(self.layers):
            kept.append((moved, on))
            move = u[f"layers.{i}.weight"]
            if d is None:
                d = torch.matmul(moved, move.mT)                                 # (P, batch, out)
            else:
                d = torch.baddbmm(torch.matmul(d, layer.weight.T), moved, move.mT)
            d = d.mul_(layer.multiplier)
            frozen = layer(frozen)
            if layer.bias is not None:
                d = d + u[f"layers.{i}.bias"][:, None, :]
            if self.rectified and i < len(self.layers) - 1:
                # as in pairs/pointwise.py: on, d + min(r, 0); off, -max(r, 0); that is the larger of the two
                r = frozen / g
                below, floor = r.clamp(max=0).add_(d), r.clamp_(min=0).neg_()
                on = below > floor
                d, frozen = torch.maximum(below, floor), frozen.clamp(min=0)
                moved = torch.addcmul(frozen, g, d).mul_(on)                     # off is exactly 0
            else:
                moved = torch.addcmul(frozen, g, d)
        assert d is not None
        return d, kept

    def gradients(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor, y: torch.Tensor,
                  loss: Loss) -> tuple[torch.Tensor, Parameters]:
        """Return the loss of each run, (P,), and its gradient in u."""
        g = gamma[:, None, None]
        output, kept = self._forward(u, gamma, x)
        delta = loss.slope(output, y)                                            # (P, batch, out)
        gradient: Parameters = {}
        for i in reversed(range(len(kept))):
            inputs, on = kept[i]
            layer = self.layers[i]
            if layer.bias is not None:
                gradient[f"layers.{i}.bias"] = delta.sum(1)
            delta = delta * layer.multiplier
            gradient[f"layers.{i}.weight"] = torch.matmul(delta.mT, inputs)
            if i > 0:
                delta = torch.bmm(delta, torch.addcmul(layer.weight, g, u[f"layers.{i}.weight"]))
                if on is not None:
                    delta.mul_(on)
        return loss.value(output, y), gradient


def at_rest(module: nn.Module, runs: int) -> Parameters:
    """Return u = 0 for so many runs."""
    return {n: p.new_zeros((runs, *p.shape)) for n, p in trainable(module).items()}
