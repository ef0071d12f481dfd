"""Choose the layout of a module that the kernels train."""

from __future__ import annotations

from typing import TypeAlias

from torch import nn

from deepnets.fused.convolution_layout import ConvolutionLayout
from deepnets.fused.layout import Layout
from deepnets.networks.cnn import ConvolutionsThenDense
from deepnets.networks.mlp import StackOfLayers

AnyLayout: TypeAlias = Layout | ConvolutionLayout


def build_layout(module: nn.Module) -> AnyLayout:
    """Return the layout of an MLP or of a CNN."""
    if isinstance(module, ConvolutionsThenDense):
        return ConvolutionLayout(module)
    assert isinstance(module, StackOfLayers)
    return Layout(module)
