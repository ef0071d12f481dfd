"""The squared error and the cross-entropy, with derivatives in closed form.

Outputs are (..., batch, K), or (..., batch, length, K) where every position of a sequence is predicted; targets are numbers of the same
shape without the runs, or class indices without the K. MSE is half the squared error averaged over samples and outputs. The authors' code
has no half: their eta is half of ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from deepnets.losses.protocol import Loss


@dataclass(frozen=True)
class MSE(Loss):
    """``mean((f - y)**2)/2`` over samples and outputs; class indices stand for one-hot rows."""

    name: str = "mse"
    closed_form = True

    def target(self, y: torch.Tensor, outputs: int, dtype: torch.dtype) -> torch.Tensor:
        """Return the targets as rows of numbers, (batch, ..., outputs), shared by all runs."""
        return (y if y.is_floating_point() else F.one_hot(y, outputs)).to(dtype)

    def value(self, f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the loss of each run, (...); f (..., *y.shape) and y (batch, ..., outputs)."""
        return (f - y).square().mean(tuple(range(-y.ndim, 0))) / 2

    def slope(self, f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the derivative of `value` in f, of f's shape."""
        return (f - y) / y.numel()


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """``mean(log sum exp f - y . f)`` over samples; y class indices, or any rows of probabilities."""

    name: str = "cross_entropy"
    closed_form = True

    def target(self, y: torch.Tensor, outputs: int, dtype: torch.dtype) -> torch.Tensor:
        """Return class indices (batch, ...) unchanged, and rows of probabilities in `dtype`, (batch, ..., outputs)."""
        return y.to(dtype) if y.is_floating_point() else y

    def value(self, f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the loss of each run, (...); f (..., *y.shape), and a last dim more than that where y holds indices."""
        # subtract the largest output first: huge outputs of the right class then have no loss, instead of inf - inf
        g = f - f.amax(-1, keepdim=True)
        target = (y * g).sum(-1) if y.is_floating_point() else g.gather(-1, _as_index(y, g))[..., 0]
        return (torch.logsumexp(g, -1) - target).mean(tuple(range(-(y.ndim - y.is_floating_point()), 0)))

    def slope(self, f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the derivative of `value` in f, of f's shape."""
        if y.is_floating_point():
            return (f.softmax(-1) - y) * (y.shape[-1] / y.numel())
        p = f.softmax(-1)
        return p.scatter_add_(-1, _as_index(y, f), p.new_full((), -1.0).expand(*f.shape[:-1], 1)).div_(y.numel())


def _as_index(y: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
    """Return class indices (batch, ...) as an index into the last dim of f, the same for all runs."""
    return y.expand(f.shape[:-1])[..., None]
