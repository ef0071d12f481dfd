"""Multipliers, initial distributions and learning rates of each tensor in muP, Depth-muP, NTK and standard parametrization.

muP (eqs. 11-14): weights N(0, 1), multiplied by ``1/sqrt(fan_in)``, the readout by 1/N (and, in `Centered`, by 1/gamma), one SGD rate
N eta for every tensor but a readout's bias, whose rate is eta; Adam's rate is eta, ``eta/sqrt(N)`` of hidden weights. Depth-muP (eq. 12
with alpha = 1/2, Yang & Littwin 2023): the same, with every residual branch, and Adam's rate of the tensors in it, multiplied by
``1/sqrt(blocks)``. NTK: the readout by ``1/sqrt(N)`` and the rate eta. Standard: variance 1/fan_in, no multipliers, the rate eta.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

from validation.arguments import Misuse, choose

WITHOUT_SKIPS = ("mup", "ntk", "standard")
PARAMETRIZATIONS = (*WITHOUT_SKIPS, "depth_mup")
ROLES = ("input", "hidden", "readout", "bias", "norm")


@dataclass(frozen=True)
class Scaling:
    """Multiplier, initial distribution and rates of one tensor.

    Attributes
    ----------
    name : the parameter's name in the built module.
    role : "input", "hidden", "readout", "bias", or "norm" (a normalisation's gain).
    shape : of the tensor.
    multiplier : of its product with the data.
    variance : of its entries at initialization (0: all equal `start`).
    sgd, adam : its learning rate over eta; `adam` is also SignSGD's.
    start : the mean of its entries at initialization: 1 for a gain, otherwise 0.
    branch : the multiplier of the residual branch that it belongs to; 1 outside of branches.
    """

    name: str
    role: str
    shape: tuple[int, ...]
    multiplier: float
    variance: float
    sgd: float
    adam: float
    start: float = 0.0
    branch: float = 1.0


class Specification(Protocol):
    """The attributes of a network specification that its table is made from."""

    @property
    def parametrization(self) -> str:
        """One of `PARAMETRIZATIONS`."""
        ...

    @property
    def width(self) -> int:
        """N, unless there is a `readout_width`."""
        ...

    def scalings(self) -> tuple[Scaling, ...]:
        """Return the scaling of every tensor."""
        ...


@dataclass(frozen=True)
class ParametrizationTable:
    """The scalings of a network's tensors, printed as a table."""

    parametrization: str
    width: int
    rows: tuple[Scaling, ...]

    def __str__(self) -> str:
        names = max(len(r.name) for r in self.rows) + 2
        shapes = ["x".join(map(str, r.shape)) for r in self.rows]
        sizes = max(14, *(len(s) + 2 for s in shapes))
        columns = ("multiplier", "branch", "start", "variance", "SGD/eta", "Adam/eta")
        head = f"{'tensor':<{names}}{'role':<9}{'shape':<{sizes}}" + "".join(f"{c:>11}" for c in columns)
        lines = [f"{r.name:<{names}}{r.role:<9}{shape:<{sizes}}"
                 + "".join(f"{v:>11.4g}" for v in (r.multiplier, r.branch, r.start, r.variance, r.sgd, r.adam))
                 for r, shape in zip(self.rows, shapes, strict=True)]
        return "\n".join([f"{self.parametrization}, N = {self.width}", head, *lines])


def scaling(parametrization: str, name: str, role: str, shape: tuple[int, ...], fan_in: int, width: int, blocks: int = 1) -> Scaling:
    """Return one tensor's scaling.

    Parameters
    ----------
    parametrization, role : one of `PARAMETRIZATIONS`, of `ROLES`.
    fan_in : inputs of each output; of a convolution, channels times the kernel's area; of a lookup, 1.
    width : N, the width that scales the readout.
    blocks : of the network, for a tensor in a residual branch; otherwise 1.
    """
    choose("parametrization", parametrization, PARAMETRIZATIONS)
    choose("role", role, ROLES)
    mup = parametrization in ("mup", "depth_mup")
    branch = 1 / math.sqrt(blocks) if parametrization == "depth_mup" else 1.0
    sgd = float(width) if mup else 1.0
    if role in ("bias", "norm"):          # outside the multiplier: inside, updates would be O(1/N)
        return Scaling(name, role, shape, 1.0, 0.0, sgd, adam=branch, start=float(role == "norm"), branch=branch)
    adam = branch / math.sqrt(width) if mup and role == "hidden" else branch
    if parametrization == "standard":
        return Scaling(name, role, shape, 1.0, 1 / fan_in, sgd, adam, branch=branch)
    multiplier = 1 / fan_in if mup and role == "readout" else 1 / math.sqrt(fan_in)
    return Scaling(name, role, shape, multiplier, 1.0, sgd, adam, branch=branch)


@dataclass(frozen=True)
class Parametrization:
    """The scalings of a network's layers in one parametrization, at a width and a number of blocks.

    Attributes
    ----------
    name : one of `PARAMETRIZATIONS`.
    width : N, the width that scales the readout.
    blocks : residual blocks, whose branches are multiplied by `branch`.
    """

    name: str
    width: int
    blocks: int = 1

    @property
    def branch(self) -> float:
        """``1/blocks**alpha``, alpha = 1/2 in Depth-muP and 0 elsewhere (eq. 12)."""
        return 1 / math.sqrt(self.blocks) if self.name == "depth_mup" else 1.0

    @property
    def attention_power(self) -> float:
        """The power of 1/d by which attention's logits are multiplied, d the width of a head: 1 in muP, else 1/2."""
        return 1.0 if self.name in ("mup", "depth_mup") else 0.5

    def layer(self, name: str, role: str, shape: tuple[int, ...], fan_in: int, bias: bool, branch: bool = False) -> list[Scaling]:
        """Return the scalings of a layer's weight, of shape (out, ...), and bias; `branch`: whether it is in a residual branch."""
        weight = self._of(f"{name}.weight", role, shape, fan_in, branch)
        if not bias:
            return [weight]
        row = self._of(f"{name}.bias", "bias", shape[:1], fan_in, branch)
        # the gradient of a readout's bias is O(1), of other biases O(1/N) (Yang et al. 2022, table 8: rates scale with the fan-out)
        return [weight, replace(row, sgd=1.0) if role == "readout" else row]

    def norm(self, name: str, shape: tuple[int, ...], bias: bool = True, branch: bool = False) -> list[Scaling]:
        """Return the scalings of a normalisation's gain and bias."""
        rows = [self._of(f"{name}.weight", "norm", shape, 1, branch)]
        return [*rows, self._of(f"{name}.bias", "bias", shape, 1, branch)] if bias else rows

    def lookup(self, name: str, shape: tuple[int, ...]) -> Scaling:
        """Return the scaling of a lookup table: an input layer with one-hot inputs, so fan_in is 1."""
        return self._of(name, "input", shape, 1, False)

    def _of(self, name: str, role: str, shape: tuple[int, ...], fan_in: int, branch: bool) -> Scaling:
        return scaling(self.name, name, role, shape, fan_in, self.width, self.blocks if branch else 1)


def parametrization_table(network: Specification) -> ParametrizationTable:
    """Return the multipliers, initial distributions and rates of a network's tensors, as a table to be printed.

    Parameters
    ----------
    network : one of the package's specifications, such as `deepnets.MLP`.

    Raises
    ------
    Misuse : `network` is not a specification (a torch module has no parametrization).
    """
    if not hasattr(network, "scalings") or isinstance(network, type):
        raise Misuse(f"network must be one of the package's specifications, such as deepnets.MLP(...), not {network!r}")
    width = getattr(network, "readout_width", network.width)
    return ParametrizationTable(network.parametrization, width, network.scalings())
