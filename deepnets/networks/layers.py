"""The layers of the package's networks, and the nonlinearities by name; knows no network and no rate."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from deepnets.networks.parametrization import Scaling

NONLINEARITIES: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "linear": nn.Identity}


def drawn(scaling: Scaling, generator: torch.Generator) -> nn.Parameter:
    """Return a tensor as its scaling has it start."""
    return nn.Parameter(torch.randn(*scaling.shape, generator=generator) * scaling.variance**0.5 + scaling.start)


class ScaledLinear(nn.Module):
    """``multiplier x W^T + b``: the bias stands outside the multiplier and starts at zero.

    Parameters
    ----------
    scaling : the weight's, of shape (out, in).
    bias : whether there is one.
    generator : draws the weight.
    """

    def __init__(self, scaling: Scaling, bias: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.multiplier = scaling.multiplier
        self.weight = drawn(scaling, generator)
        self.bias = nn.Parameter(torch.zeros(scaling.shape[0])) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output, (..., out)."""
        made = F.linear(x, self.weight) * self.multiplier
        return made if self.bias is None else made + self.bias


class ScaledConv(nn.Module):
    """``multiplier W * x + b``, a convolution of odd kernel that keeps the image's size, or divides it by the stride.

    Parameters
    ----------
    scaling : the weight's, of shape (out, in, k, k).
    bias : whether there is one, for each channel.
    generator : draws the weight.
    stride : >= 1.
    """

    def __init__(self, scaling: Scaling, bias: bool, generator: torch.Generator, stride: int = 1) -> None:
        super().__init__()
        self.multiplier, self.stride = scaling.multiplier, stride
        self.weight = drawn(scaling, generator)
        self.bias = nn.Parameter(torch.zeros(scaling.shape[0])) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output, (batch, out, height, width), both sides over the stride, rounded up."""
        made = F.conv2d(x, self.weight, stride=self.stride, padding=self.weight.shape[-1] // 2) * self.multiplier
        return made if self.bias is None else made + self.bias[:, None, None]
