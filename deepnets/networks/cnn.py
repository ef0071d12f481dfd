"""CNN: a feed-forward convolutional network, as a specification; knows no training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from deepnets.networks.layers import NONLINEARITIES, ScaledConv, ScaledLinear
from deepnets.networks.parametrization import PARAMETRIZATIONS, Scaling, scaling
from validation.misuse import Misuse, choose, whole


@dataclass(frozen=True)
class CNN:
    """Convolutions, each followed by the nonlinearity and a 2 x 2 mean, then dense layers; no skips, no norms.

    The paper's are ``convolutions=2, dense=2`` (its CNN of depth 4) and ``convolutions=3, dense=1`` (the one it trains with Adam); their
    kernels and poolings it does not tell.

    Attributes
    ----------
    in_shape : (channels, height, width) of an input; inputs of that many numbers in another shape are reshaped.
    width : N, the channels of every convolution and the units of every hidden dense layer.
    out_features : K.
    convolutions : >= 1; the image must be large enough to be halved as often.
    dense : >= 1, the readout included.
    kernel : odd, the side of the kernels.
    bias, nonlinearity, parametrization : as of `MLP`; a convolution's fan_in is channels times kernel**2.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.
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
        if not isinstance(self.in_shape, Sequence) or isinstance(self.in_shape, str) or len(self.in_shape) != 3:
            raise Misuse(f"in_shape must be (channels, height, width), not {self.in_shape!r}")
        object.__setattr__(self, "in_shape", tuple(whole("in_shape", n) for n in self.in_shape))
        for name in ("width", "out_features", "convolutions", "dense", "kernel"):
            whole(name, getattr(self, name))
        if self.kernel % 2 == 0:
            raise Misuse(f"kernel must be odd, not {self.kernel!r}")
        if not isinstance(self.bias, bool):
            raise Misuse(f"bias must be True or False, not {self.bias!r}")
        smallest = min(self.in_shape[1:])
        if smallest < 2**self.convolutions:
            raise Misuse(f"convolutions must be at most {int(math.log2(smallest))} for images of {smallest} pixels, which each halves, "
                         f"not {self.convolutions!r}")
        choose("nonlinearity", self.nonlinearity, NONLINEARITIES)
        choose("parametrization", self.parametrization, PARAMETRIZATIONS)

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
        rows: list[Scaling] = []
        for i in range(self.convolutions):
            fan_in = channels * self.kernel**2
            shape: tuple[int, ...] = (self.width, channels, self.kernel, self.kernel)
            self._append(rows, f"convolutions.{i}", "input" if i == 0 else "hidden", shape, fan_in)
            channels, height, wide = self.width, height // 2, wide // 2
        fan_in = channels * height * wide
        for i in range(self.dense):
            last = i == self.dense - 1
            shape = (self.out_features if last else self.width, fan_in)
            self._append(rows, f"dense.{i}", "readout" if last else "hidden", shape, fan_in)
            fan_in = self.width
        return tuple(rows)

    def _append(self, rows: list[Scaling], name: str, role: str, shape: tuple[int, ...], fan_in: int) -> None:
        rows.append(scaling(self.parametrization, f"{name}.weight", role, shape, fan_in, self.width))
        if self.bias:
            rows.append(scaling(self.parametrization, f"{name}.bias", "bias", shape[:1], fan_in, self.width))

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
