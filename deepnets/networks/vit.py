"""Specification of a Vision Transformer (ViT)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from deepnets.networks.arguments import image_shape
from deepnets.networks.blocks import Block, Blocks
from deepnets.networks.layers import ScaledLinear, draw_parameter
from deepnets.networks.parametrization import Scaling
from validation.arguments import Misuse, whole


@dataclass(frozen=True)
class ViT:
    """Patches, learned positions, pre-norm blocks, a last LayerNorm, the mean over the patches (no class token), a readout.

    Positions start as N(0, 1), the size of the embedded patches: they are input weights of fan_in 1. The last LayerNorm removes the scale
    of the residual stream, so that the L of the rich ``gamma**(2/L)`` is a fitted number, not this depth; ``norm="none"`` omits every
    LayerNorm, as in Fig. 14(c). Attention logits: see `deepnets.networks.blocks.Blocks`.

    Attributes
    ----------
    in_shape : (channels, height, width) of an input; inputs of that many numbers in another shape are reshaped.
    width : N, of the residual stream.
    out_features : K.
    blocks : >= 1, each of two branches; "depth_mup" multiplies them by ``1/sqrt(blocks)``.
    patch : the side of a patch, which divides both sides of the image.
    heads : of attention; divides width.
    mlp_ratio : hidden units of the blocks' two-layer networks over N.
    qk : "none", "norm" (QK-norm) or "layernorm" (QK-LayerNorm).
    temperature : > 0, divides the logits.
    norm : "layer" or "none".
    bias : whether the matrices have biases, outside the multipliers; LayerNorms always have them.
    nonlinearity, parametrization : as of `ResidualMLP`.

    Raises
    ------
    Misuse : an argument that is not allowed; the message names it, its value and what is allowed.
    """

    in_shape: tuple[int, int, int]
    width: int
    out_features: int
    blocks: int = 3
    patch: int = 4
    heads: int = 1
    mlp_ratio: int = 4
    qk: str = "none"
    temperature: float = 1.0
    norm: str = "layer"
    bias: bool = False
    nonlinearity: str = "gelu"
    parametrization: str = "mup"

    def __post_init__(self) -> None:
        object.__setattr__(self, "in_shape", image_shape("in_shape", self.in_shape))
        for name in ("out_features", "patch"):
            whole(name, getattr(self, name))
        _, height, wide = self.in_shape
        if height % self.patch or wide % self.patch:
            raise Misuse(f"patch must divide both sides of the image, {height} x {wide}, not {self.patch!r}")
        Blocks.of_network(self)      # checks the other arguments

    @property
    def in_features(self) -> int:
        """Numbers of one input."""
        return int(np.prod(self.in_shape))

    @property
    def depth(self) -> int:
        """Weight matrices on the longest path: patches, four in each block (values, output, two of the MLP), readout."""
        return Blocks.of_network(self).depth + 2

    def scalings(self) -> tuple[Scaling, ...]:
        """Return the scaling of every tensor by its name in the built module."""
        blocks = Blocks.of_network(self)
        numbers = self.in_shape[0] * self.patch**2
        return (blocks.rules.lookup("positions", (self.in_features // numbers, self.width)),
                *blocks.rules.layer("patches", "input", (self.width, numbers), numbers, self.bias), *blocks.scalings(),
                *blocks.rules.layer("readout", "readout", (self.out_features, self.width), self.width, self.bias))

    def build(self, seed: int) -> PatchesThenBlocks:
        """Return the module, its weights drawn from `seed`: the same on every machine."""
        generator = torch.Generator().manual_seed(whole("seed", seed, 0))
        scalings, plan = {s.name: s for s in self.scalings()}, Blocks.of_network(self)
        positions = draw_parameter(scalings["positions"], generator)
        patches = ScaledLinear(scalings["patches.weight"], self.bias, generator)
        blocks = plan.build(scalings, generator, causal=False)
        return PatchesThenBlocks(self.in_shape, self.patch, positions, patches, blocks, plan.build_norm(),
                                 ScaledLinear(scalings["readout.weight"], self.bias, generator))

    def describe(self) -> dict[str, Any]:
        """Return the specification as JSON."""
        return {"name": "vit", **asdict(self), "in_shape": list(self.in_shape)}


class PatchesThenBlocks(nn.Module):
    """The module of a `ViT`; inputs (batch, ...) are reshaped to (batch, channels, height, width)."""

    def __init__(self, in_shape: tuple[int, int, int], patch: int, positions: nn.Parameter, patches: ScaledLinear, blocks: list[Block],
                 last_norm: nn.Module, readout: ScaledLinear) -> None:
        super().__init__()
        self.in_shape, self.patch = in_shape, patch
        self.positions, self.patches = positions, patches
        self.blocks, self.last_norm, self.readout = nn.ModuleList(blocks), last_norm, readout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, K)."""
        channels, height, wide = self.in_shape
        p = self.patch
        x = x.reshape(-1, channels, height // p, p, wide // p, p).permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        h = self.patches(x) + self.positions      # (batch, patches, N)
        for block in self.blocks:
            h = block(h)
        return self.readout(self.last_norm(h).mean(1))
