"""muP, NTK and standard parametrization: multipliers, initial variances and rates, computed up front; knows no module.

muP (eqs. 11-14): weights N(0, 1), multiplied by ``1/sqrt(fan_in)``, the readout by 1/N (and, in `Centered`, by 1/gamma), one SGD rate
N eta for every tensor. NTK: the readout by ``1/sqrt(N)`` and the rate eta. Standard: variance 1/fan_in, no multipliers, the rate eta.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from validation.misuse import Misuse, choose

PARAMETRIZATIONS = ("mup", "ntk", "standard")
ROLES = ("input", "hidden", "readout", "bias")


@dataclass(frozen=True)
class Scaling:
    """One tensor's share of a parametrization.

    Attributes
    ----------
    name : the parameter's name in the built module.
    role : "input", "hidden", "readout" or "bias".
    shape : of the tensor.
    multiplier : what its product with the data is multiplied by.
    variance : of its entries at the start (0: it starts at zero).
    sgd, adam : its rate over eta; "adam" serves SignSGD too.
    """

    name: str
    role: str
    shape: tuple[int, ...]
    multiplier: float
    variance: float
    sgd: float
    adam: float


@dataclass(frozen=True)
class ParametrizationTable:
    """The scalings of a network's tensors, printed as a table."""

    parametrization: str
    width: int
    rows: tuple[Scaling, ...]

    def __str__(self) -> str:
        head = f"{self.parametrization}, N = {self.width}\n{'tensor':<18}{'role':<9}{'shape':<14}{'multiplier':>11}{'variance':>10}"
        lines = [f"{r.name:<18}{r.role:<9}{'x'.join(map(str, r.shape)):<14}{r.multiplier:>11.4g}{r.variance:>10.4g}{r.sgd:>10.4g}"
                 f"{r.adam:>10.4g}" for r in self.rows]
        return "\n".join([head + f"{'SGD/eta':>10}{'Adam/eta':>10}", *lines])


def scaling(parametrization: str, name: str, role: str, shape: tuple[int, ...], fan_in: int, width: int) -> Scaling:
    """Return one tensor's scaling.

    Parameters
    ----------
    parametrization, role : one of `PARAMETRIZATIONS`, of `ROLES`.
    fan_in : inputs of each output; of a convolution, channels times the kernel's area.
    width : N, the width that scales the readout.
    """
    choose("parametrization", parametrization, PARAMETRIZATIONS)
    choose("role", role, ROLES)
    sgd = float(width) if parametrization == "mup" else 1.0
    adam = 1 / math.sqrt(width) if parametrization == "mup" and role == "hidden" else 1.0
    if role == "bias":          # outside the multiplier: inside, its updates would be O(1/N)
        return Scaling(name, role, shape, 1.0, 0.0, sgd, adam=1.0)
    if parametrization == "standard":
        return Scaling(name, role, shape, 1.0, 1 / fan_in, sgd, adam)
    multiplier = 1 / fan_in if parametrization == "mup" and role == "readout" else 1 / math.sqrt(fan_in)
    return Scaling(name, role, shape, multiplier, 1.0, sgd, adam)


def parametrization_table(network: Any) -> ParametrizationTable:
    """Return the multipliers, initial variances and rates of a network's tensors; print it to read it.

    Parameters
    ----------
    network : one of the package's specifications, such as `deepnets.MLP`.

    Raises
    ------
    Misuse : anything else: a module of one's own has no parametrization that could be known.
    """
    if not hasattr(network, "scalings") or isinstance(network, type):
        raise Misuse(f"network must be one of the package's specifications, such as deepnets.MLP(...), not {network!r}")
    return ParametrizationTable(network.parametrization, network.width, network.scalings())
