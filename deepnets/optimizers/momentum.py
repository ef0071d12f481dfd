"""Gradient descent with and without momentum, and its sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from deepnets.optimizers.protocol import Optimizer, check_rate, check_settings, describe_settings
from validation.arguments import Misuse


@dataclass(frozen=True)
class SGD(Optimizer):
    """``theta <- theta - N eta m`` with ``m <- momentum m + g``, m = 0 at the start (no dampening), as torch's.

    Attributes
    ----------
    momentum : 0 <= momentum < 1. Alone, it is `HeavyBall`, and described as it.
    nesterov : whether the step is along ``g + momentum m``.
    weight_decay, decay_to, clip : see `Optimizer`. torch's own SGD adds its weight decay to the gradient instead.
    """

    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    decay_to: str = "origin"
    clip: float | None = None
    power = 2

    def __post_init__(self) -> None:
        check_rate("momentum", self.momentum)
        check_settings(self)
        if not isinstance(self.nesterov, bool) or (self.nesterov and not self.momentum):
            raise Misuse(f"nesterov must be True or False, and True only with momentum above 0, not {self.nesterov!r} with "
                         f"momentum={self.momentum!r}")

    @property
    def name(self) -> str:     # type: ignore[override]
        """Sgd, momentum or nesterov."""
        return "nesterov" if self.nesterov else "momentum" if self.momentum else "sgd"

    @property
    def memories(self) -> int:     # type: ignore[override]
        """One tensor with momentum, none without."""
        return int(self.momentum != 0)

    def direction(self, g: torch.Tensor, memory: list[torch.Tensor], step: int) -> torch.Tensor:
        """Return the step over the rate; `memory` is updated in place."""
        if not memory:
            return g
        m = memory[0].mul_(self.momentum).add_(g)
        return g.add(m, alpha=self.momentum) if self.nesterov else m

    def describe(self) -> dict[str, Any]:
        """Return name and numbers as JSON, without what is off."""
        return {"name": self.name} | ({"beta": self.momentum} if self.momentum else {}) | describe_settings(self)


@dataclass(frozen=True)
class SignSGD(Optimizer):
    """``theta <- theta - eta sign(g)``, ``sign(0) = 0`` (eq. 23)."""

    name = "signsgd"
    power = 1

    def direction(self, g: torch.Tensor, memory: list[torch.Tensor], step: int) -> torch.Tensor:
        """Return the step over the rate."""
        return g.sign()


@dataclass(frozen=True)
class HeavyBall(Optimizer):
    """``m <- beta m + g``, ``theta <- theta - N eta m``, m = 0 at the start (no dampening).

    Attributes
    ----------
    beta : 0 <= beta < 1.
    """

    beta: float = 0.9
    name = "momentum"
    power = 2
    memories = 1

    def __post_init__(self) -> None:
        check_rate("beta", self.beta)

    def direction(self, g: torch.Tensor, memory: list[torch.Tensor], step: int) -> torch.Tensor:
        """Return the step over the rate; `memory` is updated in place."""
        return memory[0].mul_(self.beta).add_(g)
