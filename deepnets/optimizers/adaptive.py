"""Optimizers whose steps have no scale of the gradient: Adam, AdamW and Lion."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from deepnets.optimizers.protocol import Optimizer, check_rate, check_settings, check_size
from validation.arguments import between


@dataclass(frozen=True)
class Adam(Optimizer):
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
    name = "adam"
    power = 1
    memories = 2

    def __post_init__(self) -> None:
        between("beta1", self.beta1, 0, 1)
        between("beta2", self.beta2, 0, 1)
        check_size("epsilon", self.epsilon)

    def direction(self, g: torch.Tensor, memory: list[torch.Tensor], step: int) -> torch.Tensor:
        """Return the step over the rate; `memory` is updated in place."""
        return divide_by_root(g, memory, step, self.beta1, self.beta2, self.epsilon)


@dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2017), with torch's default numbers.

    Attributes
    ----------
    beta1, beta2, epsilon : as of `Adam`; epsilon is in units of the gradient in u, torch's at gamma = 1.
    weight_decay, decay_to, clip : see `Optimizer`.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.01
    decay_to: str = "origin"
    clip: float | None = None
    name = "adamw"
    power = 1
    memories = 2

    def __post_init__(self) -> None:
        Adam(self.beta1, self.beta2, self.epsilon)      # checks the numbers
        check_settings(self)

    def direction(self, g: torch.Tensor, memory: list[torch.Tensor], step: int) -> torch.Tensor:
        """Return the step over the rate; `memory` is updated in place."""
        return divide_by_root(g, memory, step, self.beta1, self.beta2, self.epsilon)


@dataclass(frozen=True)
class Lion(Optimizer):
    """``theta <- theta - eta sign(beta1 m + (1 - beta1) g)``, then ``m <- beta2 m + (1 - beta2) g`` (Chen et al. 2023).

    Attributes
    ----------
    beta1, beta2 : 0 <= beta < 1.
    weight_decay, decay_to, clip : see `Optimizer`.
    """

    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0
    decay_to: str = "origin"
    clip: float | None = None
    name = "lion"
    power = 1
    memories = 1

    def __post_init__(self) -> None:
        check_rate("beta1", self.beta1)
        check_rate("beta2", self.beta2)
        check_settings(self)

    def direction(self, g: torch.Tensor, memory: list[torch.Tensor], step: int) -> torch.Tensor:
        """Return the step over the rate; `memory` is updated in place."""
        sign = memory[0].lerp(g, 1 - self.beta1).sign_()
        memory[0].lerp_(g, 1 - self.beta2)
        return sign


def divide_by_root(g: torch.Tensor, memory: list[torch.Tensor], step: int, beta1: float, beta2: float, epsilon: float) -> torch.Tensor:
    """Return Adam's quotient, the mean gradient over the root of the mean square; `memory` is updated in place."""
    first, second = memory
    first.lerp_(g, 1 - beta1)
    second.mul_(beta2).addcmul_(g, g, value=1 - beta2)
    root = (second / (1 - beta2 ** (step + 1))).sqrt_().add_(epsilon)
    quotient = first / (1 - beta1 ** (step + 1)) / root
    return torch.where(root == 0, torch.zeros_like(quotient), quotient) if epsilon == 0 else quotient
