"""Muon: momentum whose matrices are orthogonalised by Newton-Schulz iterations, with AdamW for all other parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from deepnets.optimizers.adaptive import divide_by_root
from deepnets.optimizers.protocol import Optimizer, check_rate, check_settings, check_size
from validation.arguments import Misuse, choose, whole

COEFFICIENTS = (3.4445, -4.7750, 2.0315)      # of the iteration (Jordan 2024), as torch's
LEAST_NORM = 1e-7      # of a matrix, below which it is not scaled up to norm 1, as torch's
PRECISIONS = ("bfloat16", "module")


@dataclass(frozen=True)
class Muon(Optimizer):
    """``theta <- theta - eta sqrt(max(1, rows/columns)) orthogonalise(m)`` of matrices, as `torch.optim.Muon`; AdamW of all else.

    Every parameter with two dimensions is a matrix, embeddings and readouts included. All other parameters (biases, gains, kernels of
    convolutions), which torch's Muon refuses, make AdamW's steps. Each run's matrix is orthogonalised by itself. In specifications every
    tensor has Adam's rate over eta; rates of other widths are not comparable.

    Attributes
    ----------
    momentum : 0 <= momentum < 1, of ``m <- momentum m + (1 - momentum) g``.
    nesterov : whether ``(1 - momentum) g + momentum m`` is orthogonalised.
    weight_decay, decay_to, clip : see `Optimizer`; of all parameters.
    iterations : of Newton-Schulz.
    precision : of the iterations: "bfloat16", as torch's, or "module", the network's own.
    share : the rate of parameters that are no matrices, over eta.
    beta1, beta2, epsilon : of their AdamW.
    """

    momentum: float = 0.95
    nesterov: bool = True
    weight_decay: float = 0.1
    decay_to: str = "origin"
    clip: float | None = None
    iterations: int = 5
    precision: str = "bfloat16"
    share: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    name = "muon"
    power = 1
    memories = 2

    def __post_init__(self) -> None:
        check_rate("momentum", self.momentum)
        if not isinstance(self.nesterov, bool):
            raise Misuse(f"nesterov must be True or False, not {self.nesterov!r}")
        check_settings(self)
        whole("iterations", self.iterations)
        choose("precision", self.precision, PRECISIONS)
        check_size("share", self.share)
        check_rate("beta1", self.beta1)
        check_rate("beta2", self.beta2)
        check_size("epsilon", self.epsilon)

    def direction(self, g: torch.Tensor, memory: list[torch.Tensor], step: int) -> torch.Tensor:
        """Return the step over the rate; `memory` is updated in place."""
        if g.ndim != 3:
            return divide_by_root(g, memory, step, self.beta1, self.beta2, self.epsilon).mul_(self.share)
        m = memory[0].lerp_(g, 1 - self.momentum)
        update = g.lerp(m, self.momentum) if self.nesterov else m
        rows, columns = g.shape[-2:]
        return self._orthogonalise(update).mul_(math.sqrt(max(1, rows / columns)))

    def _orthogonalise(self, matrices: torch.Tensor) -> torch.Tensor:
        """Return each of the matrices (P, a, b) with its singular values moved close to 1."""
        a, b, c = COEFFICIENTS
        x = matrices.bfloat16() if self.precision == "bfloat16" else matrices
        tall = x.shape[-2] > x.shape[-1]
        x = x.mT if tall else x
        x = x / torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True).clamp(min=LEAST_NORM)
        for _ in range(self.iterations):
            gram = _multiply(x, x.mT)
            x = _multiply(_multiply(gram, gram, gram, b, c), x, x, a)
        return (x.mT if tall else x).to(matrices.dtype)


def _multiply(x: torch.Tensor, y: torch.Tensor, added: torch.Tensor | None = None, beta: float = 0.0, alpha: float = 1.0) -> torch.Tensor:
    """Return ``beta added + alpha x y`` of stacks of matrices.

    On a CPU with instructions for bfloat16 the rounding of a product depends on how many matrices are multiplied at once, and a run would
    depend on its neighbours: there each is multiplied by itself, as torch's own Muon does it.
    """
    if x.dtype == torch.bfloat16 and x.device.type == "cpu":
        if added is None:
            return torch.stack([a @ b for a, b in zip(x, y, strict=True)])
        return torch.stack([torch.addmm(m, a, b, beta=beta, alpha=alpha) for m, a, b in zip(added, x, y, strict=True)])
    return x @ y if added is None else torch.baddbmm(added, x, y, beta=beta, alpha=alpha)
