"""Specifications of residual networks with one layer in each branch (ResidualMLP, ResidualCNN), for depth checks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from deepnets.networks.arguments import flag, image_shape, odd
from deepnets.networks.layers import NONLINEARITIES, ScaledConv, ScaledLinear
from deepnets.networks.parametrization import PARAMETRIZATIONS, Parametrization, Scaling
from validation.arguments import choose, whole


@dataclass(frozen=True)
class ResidualMLP:
    """``h_1 = W_0 x/sqrt(D)``, ``h_{l+1} = h_l + branch/sqrt(N) W_l phi(h_l)``, ``f = W_L phi(h_L)/N`` (eqs. 11-13 with tau = 1).

    The branch multiplier is ``1/blocks**alpha``: alpha = 1/2 in "depth_mup", 0 elsewhere.

    Attributes
    ----------
    in_features, out_features : D and K.
    width : N, of every hidden layer.
    blocks : >= 1, the number of residual branches, each of one weight matrix after the nonlinearity.
    bias : whether the layers have biases, outside the multipliers.
    nonlinearity : "relu", "tanh", "gelu" or "linear".
    parametrization : "depth_mup", "mup", "ntk" or "standard".

    Raises
    ------
    Misuse : an argument that is not allowed; the message names it, its value and what is allowed.
    """

    in_features: int
    width: int
    blocks: int
    out_features: int
    bias: bool = False
    nonlinearity: str = "relu"
    parametrization: str = "depth_mup"

    def __post_init__(self) -> None:
        for name in ("in_features", "width", "blocks", "out_features"):
            whole(name, getattr(self, name))
        flag("bias", self.bias)
        choose("nonlinearity", self.nonlinearity, NONLINEARITIES)
        choose("parametrization", self.parametrization, PARAMETRIZATIONS)

    @property
    def depth(self) -> int:
        """Weight matrices on the longest path, through every branch: ``blocks + 2``."""
        return self.blocks + 2

    @property
    def _rules(self) -> Parametrization:
        return Parametrization(self.parametrization, self.width, self.blocks)

    def scalings(self) -> tuple[Scaling, ...]:
        """Return the scaling of every tensor, first layer first, by its name in the built module."""
        n, rules = self.width, self._rules
        rows = rules.layer("stem", "input", (n, self.in_features), self.in_features, self.bias)
        for i in range(self.blocks):
            rows += rules.layer(f"branches.{i}", "hidden", (n, n), n, self.bias, branch=True)
        return tuple(rows + rules.layer("readout", "readout", (self.out_features, n), n, self.bias))

    def build(self, seed: int) -> ResidualLayers:
        """Return the module, its weights drawn from `seed`: the same on every machine."""
        generator = torch.Generator().manual_seed(whole("seed", seed, 0))
        stem, *branches, readout = (ScaledLinear(s, self.bias, generator) for s in self.scalings() if s.role != "bias")
        return ResidualLayers((self.in_features,), stem, branches, readout, self._rules.branch, self.nonlinearity)

    def describe(self) -> dict[str, Any]:
        """Return the specification as JSON."""
        return {"name": "residual_mlp", **asdict(self)}


@dataclass(frozen=True)
class ResidualCNN:
    """`ResidualMLP` with convolutions: a stem, residual branches, the mean over the image, a readout.

    Attributes
    ----------
    in_shape : (channels, height, width) of an input; inputs of that many numbers in another shape are reshaped.
    width : N, the channels of every convolution.
    blocks : >= 1, the number of residual branches, each of one convolution after the nonlinearity.
    out_features : K.
    kernel : odd, the side of the kernels.
    stride : >= 1, of the stem: it divides both sides of the image, rounded up.
    bias, nonlinearity, parametrization : as of `ResidualMLP`; a convolution's fan_in is channels times kernel**2.

    Raises
    ------
    Misuse : an argument that is not allowed; the message names it, its value and what is allowed.
    """

    in_shape: tuple[int, int, int]
    width: int
    blocks: int
    out_features: int
    kernel: int = 3
    stride: int = 2
    bias: bool = False
    nonlinearity: str = "relu"
    parametrization: str = "depth_mup"

    def __post_init__(self) -> None:
        object.__setattr__(self, "in_shape", image_shape("in_shape", self.in_shape))
        for name in ("width", "blocks", "out_features", "stride"):
            whole(name, getattr(self, name))
        odd("kernel", self.kernel)
        flag("bias", self.bias)
        choose("nonlinearity", self.nonlinearity, NONLINEARITIES)
        choose("parametrization", self.parametrization, PARAMETRIZATIONS)

    @property
    def in_features(self) -> int:
        """Numbers of one input."""
        return int(np.prod(self.in_shape))

    @property
    def depth(self) -> int:
        """Weight tensors on the longest path, through every branch: ``blocks + 2``."""
        return self.blocks + 2

    @property
    def _rules(self) -> Parametrization:
        return Parametrization(self.parametrization, self.width, self.blocks)

    def scalings(self) -> tuple[Scaling, ...]:
        """Return the scaling of every tensor, first layer first, by its name in the built module."""
        n, k, rules = self.width, self.kernel, self._rules
        channels = self.in_shape[0]
        rows = rules.layer("stem", "input", (n, channels, k, k), channels * k * k, self.bias)
        for i in range(self.blocks):
            rows += rules.layer(f"branches.{i}", "hidden", (n, n, k, k), n * k * k, self.bias, branch=True)
        return tuple(rows + rules.layer("readout", "readout", (self.out_features, n), n, self.bias))

    def build(self, seed: int) -> ResidualLayers:
        """Return the module, its weights drawn from `seed`: the same on every machine."""
        generator = torch.Generator().manual_seed(whole("seed", seed, 0))
        first, *middle, last = (s for s in self.scalings() if s.role != "bias")
        stem = ScaledConv(first, self.bias, generator, self.stride)
        branches = [ScaledConv(s, self.bias, generator) for s in middle]
        return ResidualLayers(self.in_shape, stem, branches, ScaledLinear(last, self.bias, generator), self._rules.branch,
                              self.nonlinearity)

    def describe(self) -> dict[str, Any]:
        """Return the specification as JSON."""
        return {"name": "residual_cnn", **asdict(self), "in_shape": list(self.in_shape)}


class ResidualLayers(nn.Module):
    """The module of a `ResidualMLP` or a `ResidualCNN`; inputs (batch, ...) are reshaped to (batch, *in_shape)."""

    def __init__(self, in_shape: tuple[int, ...], stem: nn.Module, branches: list[Any], readout: nn.Module, branch: float,
                 nonlinearity: str) -> None:
        super().__init__()
        self.in_shape, self.branch = in_shape, branch
        self.stem, self.branches, self.readout = stem, nn.ModuleList(branches), readout
        self.activation = NONLINEARITIES[nonlinearity]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, K)."""
        h = self.stem(x.reshape(x.shape[0], *self.in_shape))
        for layer in self.branches:
            h = h + layer(self.activation(h)) * self.branch
        return self.readout(self.activation(h).flatten(2).mean(2) if h.ndim == 4 else self.activation(h))
