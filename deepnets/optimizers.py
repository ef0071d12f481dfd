"""Optimizers of networks; their steps are taken in u, for a stack of runs.

With ``theta = theta_0 + gamma u`` and g the gradient in u, a step of size eta in theta is one of ``eta/gamma**2`` along g, and one of
``eta/gamma`` along a direction without scale (a sign, Adam's quotient).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch

from validation.arguments import Misuse, between


@dataclass(frozen=True)
class SGD:
    """``theta <- theta - N eta g``."""

    name: ClassVar[str] = "sgd"
    power: ClassVar[int] = 2      # of 1/gamma in the rate in u
    memories: ClassVar[int] = 0   # tensors of the parameters' shape that carry over to the next step

    def direction(self, g: torch.Tensor, memory: list[torch.Tensor], step: int) -> torch.Tensor:
        """Return the step over the rate; `memory` is updated in place."""
        return g


@dataclass(frozen=True)
class SignSGD:
    """``theta <- theta - eta sign(g)``, ``sign(0) = 0`` (eq. 23)."""

    name: ClassVar[str] = "signsgd"
    power: ClassVar[int] = 1
    memories: ClassVar[int] = 0

    def direction(self, g: torch.Tensor, memory: list[torch.Tensor], step: int) -> torch.Tensor:
        """Return the step over the rate."""
        return g.sign()


@dataclass(frozen=True)
class HeavyBall:
    """``m <- beta m + g``, ``theta <- theta - N eta m``, m = 0 at the start (no dampening).

    Attributes
    ----------
    beta : 0 <= beta < 1.
    """

    beta: float = 0.9
    name: ClassVar[str] = "momentum"
    power: ClassVar[int] = 2
    memories: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.beta != 0:
            between("beta", self.beta, 0, 1)

    def direction(self, g: torch.Tensor, memory: list[torch.Tensor], step: int) -> torch.Tensor:
        """Return the step over the rate; `memory` is updated in place."""
        return memory[0].mul_(self.beta).add_(g)


@dataclass(frozen=True)
class Adam:
    """Adam with bias correction (Kingma & Ba 2014).

    Attributes
    ----------
    beta1, beta2 : decay rates of the first and second moment, in (0, 1).
    epsilon : in units of the gradient in u, which is gamma times that in theta: in units of the latter, 1e-8 would exceed the gradients
        at gamma >= 1e4. 0/0 counts as 0.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    name: ClassVar[str] = "adam"
    power: ClassVar[int] = 1
    memories: ClassVar[int] = 2

    def __post_init__(self) -> None:
        between("beta1", self.beta1, 0, 1)
        between("beta2", self.beta2, 0, 1)
        if self.epsilon != 0:
            between("epsilon", self.epsilon, 0, float("inf"))

    def direction(self, g: torch.Tensor, memory: list[torch.Tensor], step: int) -> torch.Tensor:
        """Return the step over the rate; `memory` is updated in place."""
        first, second = memory
        first.lerp_(g, 1 - self.beta1)
        second.mul_(self.beta2).addcmul_(g, g, value=1 - self.beta2)
        root = (second / (1 - self.beta2 ** (step + 1))).sqrt_().add_(self.epsilon)
        quotient = first / (1 - self.beta1 ** (step + 1)) / root
        return torch.where(root == 0, torch.zeros_like(quotient), quotient) if self.epsilon == 0 else quotient


Optimizer = SGD | SignSGD | HeavyBall | Adam
OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "signsgd": SignSGD, "momentum": HeavyBall, "adam": Adam}


def as_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """Return the optimizer of that name with its default numbers, or `optimizer` itself if it is one; otherwise raise `Misuse`."""
    if isinstance(optimizer, SGD | SignSGD | HeavyBall | Adam):
        return optimizer
    if isinstance(optimizer, str) and optimizer in OPTIMIZERS:
        return OPTIMIZERS[optimizer]()
    raise Misuse(f"optimizer must be one of {', '.join(map(repr, OPTIMIZERS))}, or a deepnets optimizer, not {optimizer!r}")


def describe(optimizer: Optimizer) -> dict[str, Any]:
    """Return the optimizer as JSON: its name and its numbers."""
    return {"name": optimizer.name, **asdict(optimizer)}
