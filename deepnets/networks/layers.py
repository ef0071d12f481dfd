"""Linear and convolutional layers with a multiplier, and the nonlinearities by name."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from deepnets.networks.parametrization import Scaling

NONLINEARITIES: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "linear": nn.Identity}


def draw_parameter(scaling: Scaling, generator: torch.Generator) -> nn.Parameter:
    """Draw a tensor from N(start, variance) of its scaling."""
    return nn.Parameter(torch.randn(*scaling.shape, generator=generator) * scaling.variance**0.5 + scaling.start)


class ScaledLinear(nn.Module):
    """``multiplier x W^T + b``; the bias is outside the multiplier and zero at initialization.

    Parameters
    ----------
    scaling : the weight's, of shape (out, in).
    bias : whether there is one.
    generator : draws the weight.
    """

    def __init__(self, scaling: Scaling, bias: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.multiplier = scaling.multiplier
        self.weight = draw_parameter(scaling, generator)
        self.bias = nn.Parameter(torch.zeros(scaling.shape[0])) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output, (..., out)."""
        output = F.linear(x, self.weight) * self.multiplier
        return output if self.bias is None else output + self.bias


class ScaledConv(nn.Module):
    """``multiplier W * x + b``, a convolution with an odd kernel that keeps the image's size, or divides it by the stride.

    Parameters
    ----------
    scaling : the weight's, of shape (out, in, k, k).
    bias : whether there is one, a number for each output channel.
    generator : draws the weight.
    stride : >= 1.
    """

    def __init__(self, scaling: Scaling, bias: bool, generator: torch.Generator, stride: int = 1) -> None:
        super().__init__()
        self.multiplier, self.stride = scaling.multiplier, stride
        self.weight = draw_parameter(scaling, generator)
        self.bias = nn.Parameter(torch.zeros(scaling.shape[0])) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output, (batch, out, height, width), both sides divided by the stride, rounded up."""
        output = F.conv2d(x, self.weight, stride=self.stride, padding=self.weight.shape[-1] // 2) * self.multiplier
        return output if self.bias is None else output + self.bias[:, None, None]
