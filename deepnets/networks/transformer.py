"""Specification of a small causal language model (Transformer)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from deepnets.networks.blocks import Block, Blocks
from deepnets.networks.layers import ScaledLinear, draw_parameter
from deepnets.networks.parametrization import Scaling
from validation.arguments import Misuse, whole


@dataclass(frozen=True)
class Transformer:
    """Tokens and learned positions, pre-norm blocks of causal attention, a last LayerNorm, a readout not tied to the embedding.

    Tokens (batch, length) of int64 give logits (batch, length, vocabulary). The embedding is an input layer with
    one-hot inputs, of which one is 1: fan_in and multiplier are 1, it starts as N(0, 1), and its rates are those of the input (N eta for
    SGD, eta for Adam); the same holds for the positions. The last LayerNorm makes the L of ``gamma**(2/L)`` a fitted number.
    Attention logits: see `deepnets.networks.blocks.Blocks`.

    Attributes
    ----------
    vocabulary : K, the number of tokens.
    context : the longest length, in tokens; `in_features` of a text task.
    width : N, of the residual stream.
    blocks, heads, mlp_ratio, qk, temperature, norm, bias, nonlinearity, parametrization : as of `ViT`.

    Raises
    ------
    Misuse : an argument that is not allowed; in a call, an input that is not tokens of such a length.
    """

    vocabulary: int
    context: int
    width: int
    blocks: int = 2
    heads: int = 1
    mlp_ratio: int = 4
    qk: str = "none"
    temperature: float = 1.0
    norm: str = "layer"
    bias: bool = False
    nonlinearity: str = "gelu"
    parametrization: str = "mup"

    def __post_init__(self) -> None:
        for name in ("vocabulary", "context"):
            whole(name, getattr(self, name))
        Blocks.of_network(self)      # checks the other arguments

    @property
    def in_features(self) -> int:
        """Tokens of one input: the context."""
        return self.context

    @property
    def out_features(self) -> int:
        """Logits of each position: the vocabulary."""
        return self.vocabulary

    @property
    def depth(self) -> int:
        """Weight matrices on the longest path: embedding, four in each block (values, output, two of the MLP), readout."""
        return Blocks.of_network(self).depth + 2

    def scalings(self) -> tuple[Scaling, ...]:
        """Return the scaling of every tensor by its name in the built module."""
        blocks = Blocks.of_network(self)
        return (blocks.rules.lookup("embedding", (self.vocabulary, self.width)),
                blocks.rules.lookup("positions", (self.context, self.width)), *blocks.scalings(),
                *blocks.rules.layer("readout", "readout", (self.vocabulary, self.width), self.width, self.bias))

    def build(self, seed: int) -> TokensThenBlocks:
        """Return the module, its weights drawn from `seed`: the same on every machine."""
        generator = torch.Generator().manual_seed(whole("seed", seed, 0))
        scalings, plan = {s.name: s for s in self.scalings()}, Blocks.of_network(self)
        embedding, positions = draw_parameter(scalings["embedding"], generator), draw_parameter(scalings["positions"], generator)
        blocks = plan.build(scalings, generator, causal=True)
        return TokensThenBlocks(embedding, positions, blocks, plan.build_norm(),
                                ScaledLinear(scalings["readout.weight"], self.bias, generator))

    def describe(self) -> dict[str, Any]:
        """Return the specification as JSON."""
        return {"name": "transformer", **asdict(self)}


class TokensThenBlocks(nn.Module):
    """The module of a `Transformer`."""

    def __init__(self, embedding: nn.Parameter, positions: nn.Parameter, blocks: list[Block], last_norm: nn.Module,
                 readout: ScaledLinear) -> None:
        super().__init__()
        self.embedding, self.positions = embedding, positions
        self.blocks, self.last_norm, self.readout = nn.ModuleList(blocks), last_norm, readout

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return (batch, length, vocabulary) of tokens (batch, length)."""
        if tokens.ndim != 2 or tokens.is_floating_point() or tokens.shape[1] > self.positions.shape[0]:
            raise Misuse(f"tokens must be whole numbers of shape (batch, length), length at most {self.positions.shape[0]}, "
                         f"not {tokens.dtype} of shape {tuple(tokens.shape)}")
        h = F.embedding(tokens, self.embedding) + self.positions[:tokens.shape[1]]      # (batch, length, N)
        for block in self.blocks:
            h = block(h)
        return self.readout(self.last_norm(h))
