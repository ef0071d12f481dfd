"""Specification of a feed-forward convolutional network (CNN)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from deepnets.networks.arguments import flag, image_shape, odd
from deepnets.networks.layers import NONLINEARITIES, ScaledConv, ScaledLinear
from deepnets.networks.parametrization import WITHOUT_SKIPS, Parametrization, Scaling
from validation.arguments import Misuse, choose, whole


@dataclass(frozen=True)
class CNN:
    """Convolutions, each followed by the nonlinearity and a 2 x 2 mean, then dense layers; no skips, no norms.

    The paper uses ``convolutions=2, dense=2`` (its CNN of depth 4) and ``convolutions=3, dense=1`` (the one it trains with Adam), without
    reporting their kernels and poolings.

    Attributes
    ----------
    in_shape : (channels, height, width) of an input; inputs of that many numbers in another shape are reshaped.
    width : N, the channels of every convolution and the units of every hidden dense layer.
    out_features : K.
    convolutions : >= 1; each halves the image, which must be large enough.
    dense : >= 1, the readout included.
    kernel : odd, the side of the kernels.
    bias, nonlinearity, parametrization : as of `MLP`; a convolution's fan_in is channels times kernel**2. With ``dense=1`` the readout's
        fan_in is channels times pixels, and its multiplier one over that, while the N of the rate stays the channels.

    Raises
    ------
    Misuse : an argument that is not allowed; the message names it, its value and what is allowed.
    """

    in_shape: tuple[int, int, int]
    width: int
    out_features: int
    convolutions: int = 2
    dense: int = 2
    kernel: int = 3
    bias: bool = False
    nonlinearity: str = "relu"
    parametrization: str = "mup"

    def __post_init__(self) -> None:
        object.__setattr__(self, "in_shape", image_shape("in_shape", self.in_shape))
        for name in ("width", "out_features", "convolutions", "dense"):
            whole(name, getattr(self, name))
        odd("kernel", self.kernel)
        flag("bias", self.bias)
        smallest = min(self.in_shape[1:])
        if smallest < 2**self.convolutions:
            raise Misuse(f"convolutions must be at most {int(math.log2(smallest))} for images of {smallest} pixels, as each halves them, "
                         f"not {self.convolutions!r}")
        choose("nonlinearity", self.nonlinearity, NONLINEARITIES)
        choose("parametrization", self.parametrization, WITHOUT_SKIPS)

    @property
    def in_features(self) -> int:
        """Numbers of one input."""
        return int(np.prod(self.in_shape))

    @property
    def depth(self) -> int:
        """L, the number of weight tensors."""
        return self.convolutions + self.dense

    def scalings(self) -> tuple[Scaling, ...]:
        """Return the scaling of every tensor, first layer first, by its name in the built module."""
        channels, height, wide = self.in_shape
        rules = Parametrization(self.parametrization, self.width)
        rows: list[Scaling] = []
        for i in range(self.convolutions):
            fan_in = channels * self.kernel**2
            shape: tuple[int, ...] = (self.width, channels, self.kernel, self.kernel)
            rows += rules.layer(f"convolutions.{i}", "input" if i == 0 else "hidden", shape, fan_in, self.bias)
            channels, height, wide = self.width, height // 2, wide // 2
        fan_in = channels * height * wide
        for i in range(self.dense):
            last = i == self.dense - 1
            shape = (self.out_features if last else self.width, fan_in)
            rows += rules.layer(f"dense.{i}", "readout" if last else "hidden", shape, fan_in, self.bias)
            fan_in = self.width
        return tuple(rows)

    def build(self, seed: int) -> ConvolutionsThenDense:
        """Return the module, its weights drawn from `seed`: the same on every machine."""
        generator = torch.Generator().manual_seed(whole("seed", seed, 0))
        weights = [s for s in self.scalings() if s.role != "bias"]
        return ConvolutionsThenDense(self.in_shape, [ScaledConv(s, self.bias, generator) for s in weights[:self.convolutions]],
                                     [ScaledLinear(s, self.bias, generator) for s in weights[self.convolutions:]], self.nonlinearity)

    def describe(self) -> dict[str, Any]:
        """Return the specification as JSON."""
        return {"name": "cnn", **asdict(self), "in_shape": list(self.in_shape)}


class ConvolutionsThenDense(nn.Module):
    """The module of a `CNN`; inputs (batch, ...) are reshaped to (batch, channels, height, width)."""

    def __init__(self, in_shape: tuple[int, int, int], convolutions: list[ScaledConv], dense: list[ScaledLinear],
                 nonlinearity: str) -> None:
        super().__init__()
        self.in_shape = in_shape
        self.convolutions, self.dense = nn.ModuleList(convolutions), nn.ModuleList(dense)
        self.activation = NONLINEARITIES[nonlinearity]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, K)."""
        x = x.reshape(x.shape[0], *self.in_shape)
        for layer in self.convolutions:
            x = F.avg_pool2d(self.activation(layer(x)), 2)
        x = x.flatten(1)
        for layer in self.dense[:-1]:      # type: ignore[union-attr]
            x = self.activation(layer(x))
        return self.dense[-1](x)
