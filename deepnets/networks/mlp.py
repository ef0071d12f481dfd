"""Specification of a fully connected network (MLP) of any depth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from deepnets.networks.arguments import flag
from deepnets.networks.layers import NONLINEARITIES, ScaledLinear
from deepnets.networks.parametrization import WITHOUT_SKIPS, Parametrization, Scaling
from validation.arguments import choose, whole


@dataclass(frozen=True)
class MLP:
    """``f(x) = W_L phi(... phi(W_1 x))``, each product with its multiplier (eqs. 11-14).

    Attributes
    ----------
    in_features, out_features : D and K.
    width : N, of every hidden layer.
    depth : L >= 2, the number of weight matrices.
    bias : whether the layers have biases, outside the multipliers.
    nonlinearity : "relu", "tanh", "gelu" or "linear".
    parametrization : "mup", "ntk" or "standard".

    Raises
    ------
    Misuse : an argument that is not allowed; the message names it, its value and what is allowed.
    """

    in_features: int
    width: int
    depth: int
    out_features: int
    bias: bool = False
    nonlinearity: str = "relu"
    parametrization: str = "mup"

    def __post_init__(self) -> None:
        for name, least in (("in_features", 1), ("width", 1), ("depth", 2), ("out_features", 1)):
            whole(name, getattr(self, name), least)
        flag("bias", self.bias)
        choose("nonlinearity", self.nonlinearity, NONLINEARITIES)
        choose("parametrization", self.parametrization, WITHOUT_SKIPS)

    def scalings(self) -> tuple[Scaling, ...]:
        """Return the scaling of every tensor, first layer first, by its name in the built module."""
        sizes = [self.in_features, *[self.width] * (self.depth - 1), self.out_features]
        rules = Parametrization(self.parametrization, self.width)
        rows: list[Scaling] = []
        for i, (fan_in, out) in enumerate(pairwise(sizes)):
            role = "input" if i == 0 else "readout" if i == self.depth - 1 else "hidden"
            rows += rules.layer(f"layers.{i}", role, (out, fan_in), fan_in, self.bias)
        return tuple(rows)

    def build(self, seed: int) -> StackOfLayers:
        """Return the module, its weights drawn from `seed`: the same on every machine."""
        generator = torch.Generator().manual_seed(whole("seed", seed, 0))
        weights = [s for s in self.scalings() if s.role != "bias"]
        return StackOfLayers([ScaledLinear(s, self.bias, generator) for s in weights], self.nonlinearity)

    def describe(self) -> dict[str, Any]:
        """Return the specification as JSON."""
        return {"name": "mlp", **asdict(self)}


class StackOfLayers(nn.Module):
    """The module of an `MLP`; inputs (batch, ...) are flattened to (batch, D)."""

    def __init__(self, layers: list[ScaledLinear], nonlinearity: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.nonlinearity = nonlinearity
        self.activation = NONLINEARITIES[nonlinearity]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, K)."""
        x = x.flatten(1)
        for layer in self.layers[:-1]:      # type: ignore[union-attr]
            x = self.activation(layer(x))
        return self.layers[-1](x)
