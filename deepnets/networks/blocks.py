"""Transformer blocks of ViT and Transformer: attention and a two-layer network, each a residual branch after a LayerNorm."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from deepnets.networks.arguments import flag
from deepnets.networks.layers import NONLINEARITIES, ScaledLinear, draw_parameter
from deepnets.networks.parametrization import PARAMETRIZATIONS, Parametrization, Scaling
from validation.arguments import Misuse, choose, positive, whole

QK = ("none", "norm", "layernorm")
NORMS = ("layer", "none")
EPS = 1e-6      # of the normalisations of queries and keys


@dataclass(frozen=True)
class Blocks:
    """``x + branch attention(norm(x))``, then ``x + branch W_2 phi(W_1 norm(x))``, `blocks` times, and a last norm.

    Attributes
    ----------
    width : N, of the residual stream; a head has d = N/heads.
    blocks : >= 1; under "depth_mup" both branches of each are multiplied by ``1/sqrt(blocks)``.
    heads : divides N.
    mlp_ratio : hidden units of the two-layer network over N.
    qk : normalisation of each head's queries and keys: "none"; "norm", divided by their root mean square, without gains; "layernorm", a
        LayerNorm with gains (each head its own: shared ones would move heads times faster) and no biases.
    temperature : > 0; logits are ``q . k/(d temperature)`` in muP and Depth-muP, else ``q . k/(sqrt(d) temperature)``: with "norm" in muP,
        the cosine between q and k over the temperature.
    norm : "layer", or "none": no LayerNorm anywhere.
    bias : whether the matrices have biases; LayerNorms always have them.
    nonlinearity, parametrization : as of `ResidualMLP`.

    Raises
    ------
    Misuse : an argument that is not allowed; the message names it.
    """

    width: int
    blocks: int
    heads: int
    mlp_ratio: int
    qk: str
    temperature: float
    norm: str
    bias: bool
    nonlinearity: str
    parametrization: str

    def __post_init__(self) -> None:
        for name in ("width", "blocks", "heads", "mlp_ratio"):
            whole(name, getattr(self, name))
        if self.width % self.heads:
            raise Misuse(f"heads must divide width, which is {self.width}, not {self.heads!r}")
        choose("qk", self.qk, QK)
        if isinstance(self.temperature, bool) or positive("temperature", self.temperature).ndim:
            raise Misuse(f"temperature must be one number above zero, not {self.temperature!r}")
        choose("norm", self.norm, NORMS)
        flag("bias", self.bias)
        choose("nonlinearity", self.nonlinearity, NONLINEARITIES)
        choose("parametrization", self.parametrization, PARAMETRIZATIONS)

    @classmethod
    def of_network(cls, network: Any) -> Blocks:
        """Return the blocks of a `ViT` or a `Transformer`, whose arguments have the same names."""
        return cls(**{argument.name: getattr(network, argument.name) for argument in fields(cls)})

    @property
    def rules(self) -> Parametrization:
        """The parametrization of these layers and of the input and readout layers."""
        return Parametrization(self.parametrization, self.width, self.blocks)

    @property
    def depth(self) -> int:
        """Weight matrices on the longest path: four in each block, two of them attention's (values and output)."""
        return 4 * self.blocks

    def scalings(self) -> list[Scaling]:
        """Return the scaling of every tensor, by its name in the built module."""
        n, hidden, rules = self.width, self.mlp_ratio * self.width, self.rules
        head = (self.heads, 1, n // self.heads)
        rows: list[Scaling] = []
        for i in range(self.blocks):
            at = f"blocks.{i}"
            rows += self._norm_scalings(f"{at}.attention_norm", True)
            rows += rules.layer(f"{at}.attention.qkv", "hidden", (3 * n, n), n, self.bias, True)
            if self.qk == "layernorm":
                rows += [s for of in ("query_norm", "key_norm") for s in rules.norm(f"{at}.attention.{of}", head, False, True)]
            rows += rules.layer(f"{at}.attention.out", "hidden", (n, n), n, self.bias, True)
            rows += self._norm_scalings(f"{at}.mlp_norm", True)
            rows += rules.layer(f"{at}.first", "hidden", (hidden, n), n, self.bias, True)
            rows += rules.layer(f"{at}.second", "hidden", (n, hidden), hidden, self.bias, True)
        return rows + self._norm_scalings("last_norm", False)

    def _norm_scalings(self, name: str, branch: bool) -> list[Scaling]:
        return [] if self.norm == "none" else self.rules.norm(name, (self.width,), branch=branch)

    def build(self, scalings: dict[str, Scaling], generator: torch.Generator, causal: bool) -> list[Block]:
        """Return the blocks with weights drawn from `generator`.

        Parameters
        ----------
        scalings : the scaling of every tensor, by its name in the built module.
        generator : of the random numbers, used block by block.
        causal : whether attention is causal.
        """
        scale = (self.heads / self.width) ** self.rules.attention_power / float(self.temperature)

        def linear(name: str) -> ScaledLinear:
            return ScaledLinear(scalings[f"{name}.weight"], self.bias, generator)

        def head_norm(name: str) -> nn.Module:
            if self.qk == "layernorm":
                return HeadNorm(scalings[f"{name}.weight"], generator)
            return RootMeanSquare() if self.qk == "norm" else nn.Identity()

        return [Block(Attention(linear(f"blocks.{i}.attention.qkv"), head_norm(f"blocks.{i}.attention.query_norm"),
                                head_norm(f"blocks.{i}.attention.key_norm"), linear(f"blocks.{i}.attention.out"),
                                self.heads, scale, causal),
                      linear(f"blocks.{i}.first"), linear(f"blocks.{i}.second"), self.build_norm(), self.build_norm(),
                      self.nonlinearity, self.rules.branch) for i in range(self.blocks)]

    def build_norm(self) -> nn.Module:
        """Return a LayerNorm of the residual stream; the identity with norm "none"."""
        return nn.LayerNorm(self.width) if self.norm == "layer" else nn.Identity()


class RootMeanSquare(nn.Module):
    """``x/sqrt(mean(x**2))`` over a head: QK-norm (Henry et al. 2020) up to sqrt(d)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x normalised, (batch, heads, length, d)."""
        return F.rms_norm(x, x.shape[-1:], eps=EPS)


class HeadNorm(nn.Module):
    """A LayerNorm over each head, with gains of its own (Dehghani et al. 2023)."""

    def __init__(self, scaling: Scaling, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = draw_parameter(scaling, generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x normalised, (batch, heads, length, d)."""
        return F.layer_norm(x, x.shape[-1:], eps=EPS) * self.weight


class Attention(nn.Module):
    """``softmax(scale q k^T) v``; with `causal`, no position attends to a later one.

    The products are written out because torch's fused attention has no second derivatives.
    """

    def __init__(self, qkv: ScaledLinear, query_norm: nn.Module, key_norm: nn.Module, out: ScaledLinear, heads: int, scale: float,
                 causal: bool) -> None:
        super().__init__()
        self.qkv, self.query_norm, self.key_norm, self.out = qkv, query_norm, key_norm, out
        self.heads, self.scale, self.causal = heads, scale, causal

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output (batch, length, N) of x (batch, length, N)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)      # each (batch, heads, length, d)
        logits = torch.matmul(self.query_norm(q) * self.scale, self.key_norm(k).transpose(-2, -1))
        if self.causal:
            later = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).triu(1)
            logits = logits.masked_fill(later, -torch.inf)
        return self.out(torch.matmul(logits.softmax(-1), v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """One block: the attention branch, then the branch of the two-layer network."""

    def __init__(self, attention: Attention, first: ScaledLinear, second: ScaledLinear, attention_norm: nn.Module, mlp_norm: nn.Module,
                 nonlinearity: str, branch: float) -> None:
        super().__init__()
        self.attention_norm, self.attention, self.mlp_norm = attention_norm, attention, mlp_norm
        self.first, self.second = first, second
        self.activation, self.branch = NONLINEARITIES[nonlinearity](), branch

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output (batch, length, N) of x (batch, length, N)."""
        x = x + self.attention(self.attention_norm(x)) * self.branch
        return x + self.second(self.activation(self.first(self.mlp_norm(x)))) * self.branch
