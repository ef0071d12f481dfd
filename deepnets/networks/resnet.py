"""Specification of residual networks for small images (ResNet), ResNet-18 among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from deepnets.networks.arguments import flag, image_shape
from deepnets.networks.layers import NONLINEARITIES, ScaledConv, ScaledLinear
from deepnets.networks.parametrization import PARAMETRIZATIONS, Parametrization, Scaling
from validation.arguments import Misuse, choose, whole

NORMS = ("batch", "group", "none")
GROUPS = 4


@dataclass(frozen=True)
class ResNet:
    """The residual network of He et al. (2016) for images of about 32 x 32.

    A 3 x 3 stem, stages of basic blocks, the mean over the image, a readout.
    A block is ``phi(shortcut(x) + branch norm(W_2 phi(norm(W_1 x))))``. Each stage after the first doubles the channels and halves the
    image, its first block with stride 2 and a 1 x 1 projection as the shortcut. Initial weights follow the parametrization, without
    He's factor of two. With normalisation the L of ``gamma**(2/L)`` is a fitted number, not this depth.

    Attributes
    ----------
    in_shape : (channels, height, width) of an input; inputs of that many numbers in another shape are reshaped.
    width : the channels of the first stage; ResNet-18's are 64. The N of the readout and of every rate is `readout_width`.
    out_features : K.
    blocks : basic blocks of each stage; (2, 2, 2, 2) is ResNet-18.
    norm : "batch", evaluated with running statistics, separate for every run; "group", 4 groups, for a width that is a multiple of 8; or
        "none".
    bias, nonlinearity : as of `MLP`.
    parametrization : "mup", "depth_mup" (branches times ``1/sqrt(sum(blocks))``), "ntk" or "standard".

    Raises
    ------
    Misuse : an argument that is not allowed; the message names it, its value and what is allowed.
    """

    in_shape: tuple[int, int, int]
    width: int
    out_features: int
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    norm: str = "batch"
    bias: bool = False
    nonlinearity: str = "relu"
    parametrization: str = "mup"

    def __post_init__(self) -> None:
        object.__setattr__(self, "in_shape", image_shape("in_shape", self.in_shape))
        for name in ("width", "out_features"):
            whole(name, getattr(self, name))
        if not isinstance(self.blocks, Sequence) or isinstance(self.blocks, str) or len(self.blocks) == 0:
            raise Misuse(f"blocks must be the number of each stage's blocks, such as (2, 2, 2, 2), not {self.blocks!r}")
        object.__setattr__(self, "blocks", tuple(whole("blocks", n) for n in self.blocks))
        choose("norm", self.norm, NORMS)
        if self.norm == "group" and self.width % (2 * GROUPS):
            raise Misuse(f"width must be a multiple of {2 * GROUPS} with norm 'group', not {self.width!r}")
        flag("bias", self.bias)
        choose("nonlinearity", self.nonlinearity, NONLINEARITIES)
        choose("parametrization", self.parametrization, PARAMETRIZATIONS)

    @property
    def in_features(self) -> int:
        """Numbers of one input."""
        return int(np.prod(self.in_shape))

    @property
    def readout_width(self) -> int:
        """N: the channels of the last stage, which the readout sums over."""
        return int(self.width * 2 ** (len(self.blocks) - 1))

    @property
    def depth(self) -> int:
        """Weight tensors on the longest path: stem, two in each block, readout; the projections are not on it."""
        return 2 * sum(self.blocks) + 2

    @property
    def _rules(self) -> Parametrization:
        return Parametrization(self.parametrization, self.readout_width, sum(self.blocks))

    def _iterate_blocks(self) -> Iterator[tuple[str, int, int]]:
        """Yield each block's name, channels in and channels out."""
        inside, i = self.width, 0
        for stage, count in enumerate(self.blocks):
            outside = self.width * 2**stage
            for _ in range(count):
                yield f"blocks.{i}", inside, outside
                inside, i = outside, i + 1

    def scalings(self) -> tuple[Scaling, ...]:
        """Return the scaling of every tensor, first layer first, by its name in the built module."""
        rules, rows = self._rules, self._conv_and_norm("stem", "stem_norm", "input", self.in_shape[0], self.width, 3, False)
        for name, inside, outside in self._iterate_blocks():
            rows += self._conv_and_norm(f"{name}.first", f"{name}.first_norm", "hidden", inside, outside, 3, True)
            rows += self._conv_and_norm(f"{name}.second", f"{name}.second_norm", "hidden", outside, outside, 3, True)
            if inside != outside:
                rows += self._conv_and_norm(f"{name}.shortcut", f"{name}.shortcut_norm", "hidden", inside, outside, 1, False)
        n = self.readout_width
        return tuple(rows + rules.layer("readout", "readout", (self.out_features, n), n, self.bias))

    def _conv_and_norm(self, name: str, norm: str, role: str, inside: int, outside: int, kernel: int, branch: bool) -> list[Scaling]:
        """Return the scalings of a convolution and of the normalisation after it."""
        rows = self._rules.layer(name, role, (outside, inside, kernel, kernel), inside * kernel**2, self.bias, branch)
        return rows + ([] if self.norm == "none" else self._rules.norm(norm, (outside,), branch=branch))

    def build(self, seed: int) -> Stages:
        """Return the module, its weights drawn from `seed`: the same on every machine."""
        generator = torch.Generator().manual_seed(whole("seed", seed, 0))
        scalings = {s.name: s for s in self.scalings()}

        def convolution(name: str, stride: int = 1) -> ScaledConv:
            return ScaledConv(scalings[f"{name}.weight"], self.bias, generator, stride)

        stem = convolution("stem")
        blocks = []
        for name, inside, outside in self._iterate_blocks():
            stride = 1 if inside == outside else 2
            shortcut = None if stride == 1 else convolution(f"{name}.shortcut", stride)
            blocks.append(BasicBlock(convolution(f"{name}.first", stride), convolution(f"{name}.second"), shortcut, self.norm,
                                     self._rules.branch, self.nonlinearity))
        readout = ScaledLinear(scalings["readout.weight"], self.bias, generator)
        return Stages(self.in_shape, stem, blocks, readout, self.norm, self.nonlinearity)

    def describe(self) -> dict[str, Any]:
        """Return the specification as JSON."""
        return {"name": "resnet", **asdict(self), "in_shape": list(self.in_shape), "blocks": list(self.blocks)}


def _build_norm(norm: str, after: ScaledConv) -> nn.Module:
    """Return the normalisation of a convolution's output channels."""
    channels = after.weight.shape[0]
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(GROUPS, channels) if norm == "group" else nn.Identity()


class BasicBlock(nn.Module):
    """``phi(shortcut(x) + branch norm(W_2 phi(norm(W_1 x))))``; without a shortcut layer, the input itself."""

    def __init__(self, first: ScaledConv, second: ScaledConv, shortcut: ScaledConv | None, norm: str, branch: float,
                 nonlinearity: str) -> None:
        super().__init__()
        self.first, self.first_norm = first, _build_norm(norm, first)
        self.second, self.second_norm = second, _build_norm(norm, second)
        self.shortcut = nn.Identity() if shortcut is None else shortcut
        self.shortcut_norm = nn.Identity() if shortcut is None else _build_norm(norm, shortcut)
        self.branch, self.activation = branch, NONLINEARITIES[nonlinearity]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, out, height, width)."""
        h = self.second_norm(self.second(self.activation(self.first_norm(self.first(x)))))
        return self.activation(self.shortcut_norm(self.shortcut(x)) + h * self.branch)


class Stages(nn.Module):
    """The module of a `ResNet`; inputs (batch, ...) are reshaped to (batch, channels, height, width)."""

    def __init__(self, in_shape: tuple[int, int, int], stem: ScaledConv, blocks: list[BasicBlock], readout: ScaledLinear, norm: str,
                 nonlinearity: str) -> None:
        super().__init__()
        self.in_shape = in_shape
        self.stem, self.stem_norm = stem, _build_norm(norm, stem)
        self.blocks, self.readout = nn.ModuleList(blocks), readout
        self.activation = NONLINEARITIES[nonlinearity]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, K)."""
        h = self.activation(self.stem_norm(self.stem(x.reshape(x.shape[0], *self.in_shape))))
        for block in self.blocks:
            h = block(h)
        return self.readout(h.mean((2, 3)))
