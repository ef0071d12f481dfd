"""Train ReLU and linear MLPs as one batch: pairs and gradients written out as batched matrix products."""

from __future__ import annotations

from typing import NamedTuple

import torch

from deepnets.batched.rectified_pairs import rectify_pairs
from deepnets.batched.state import Parameters, RunningStatistics
from deepnets.losses import Loss
from deepnets.networks.layers import ScaledLinear
from deepnets.networks.mlp import StackOfLayers
from deepnets.precision import bmm, mm, multiply_add, operand


class _Saved(NamedTuple):
    """What the backward pass needs of one layer: its inputs in the moved network, and which of these are on (None: all)."""

    inputs: torch.Tensor
    on: torch.Tensor | None


class MLPStack:
    """ReLU and linear MLPs: ``d' = m (d W_0^T + h u^T)`` with ``h = h_0 + gamma d``, and the gradient in u is ``m delta^T h``."""

    draws = False

    def __init__(self, module: StackOfLayers, centred: bool = True) -> None:
        self.module, self.centred = module, centred
        self.layers: list[ScaledLinear] = list(module.layers)     # type: ignore[arg-type]
        self.rectified = module.nonlinearity == "relu"

    def start(self, runs: int) -> RunningStatistics:
        """Return the state at initialization, without statistics."""
        return RunningStatistics.of_module(self.module, runs)

    def outputs(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor, running: RunningStatistics | None = None) -> torch.Tensor:
        """Return the centred outputs, or f/gamma, (P, batch, K)."""
        return self._forward(u, gamma, x)[0]

    def _forward(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, list[_Saved]]:
        """Return the outputs (P, batch, K), and what the backward pass needs of each layer."""
        g = gamma[:, None, None]
        frozen, d, on = x.flatten(1), None, None
        moved = operand(frozen).expand(len(g), *frozen.shape)                    # h_0 + gamma d: (P, batch, in)
        saved: list[_Saved] = []
        for i, layer in enumerate(self.layers):
            saved.append(_Saved(moved, on))
            move, weight = operand(u[f"layers.{i}.weight"]), operand(layer.weight.mT)
            if d is None:
                d = bmm(moved, move.mT).mul_(layer.multiplier)                   # (P, batch, out)
            else:
                d = mm(operand(d).flatten(0, 1), weight).unflatten(0, d.shape[:2])
                d = multiply_add(d, moved, move.mT, layer.multiplier)
            frozen = mm(operand(frozen), weight).mul_(layer.multiplier)
            if layer.bias is not None:
                d += u[f"layers.{i}.bias"][:, None, :]
                frozen = frozen + layer.bias
            if self.rectified and i < len(self.layers) - 1:
                d, moved, on = rectify_pairs(d, frozen, gamma)
                moved = operand(moved)
            elif i < len(self.layers) - 1:
                moved = operand(torch.addcmul(frozen, g, d))
        assert d is not None
        return d if self.centred else d + frozen / g, saved

    def gradients(self, u: Parameters, gamma: torch.Tensor, x: torch.Tensor, y: torch.Tensor, loss: Loss,
                  running: RunningStatistics | None = None) -> tuple[torch.Tensor, Parameters]:
        """Return the loss of each run, (P,), and its gradient in u."""
        g = gamma[:, None, None]
        output, saved = self._forward(u, gamma, x)
        delta = loss.slope(output, y)                                            # (P, batch, out)
        gradient: Parameters = {}
        for i in reversed(range(len(saved))):
            inputs, on = saved.pop()
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
