"""Losses of networks and their derivatives in the centred output, for a stack of runs: the package's, torch's, and one's own.

Outputs are (..., batch, K), or (..., batch, length, K) where every position of a sequence is predicted; targets are numbers of the same
shape without the runs, or class indices without the K. MSE is half the squared error averaged over samples and outputs. The authors' code
has no half: their eta is half of ours.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch

from deepnets.losses.closed_form import MSE, CrossEntropy
from deepnets.losses.protocol import Loss
from deepnets.losses.torch_losses import FromTorch, from_torch
from validation.arguments import Misuse, refuse_subclass

__all__ = ["MSE", "CrossEntropy", "Loss", "from_torch"]

BUILT_IN = (MSE, CrossEntropy, FromTorch)
LOSSES: dict[str, Loss] = {"mse": MSE(), "cross_entropy": CrossEntropy()}
GivenLoss = str | Loss | Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def as_loss(loss: GivenLoss) -> Loss:
    """Return the loss of that name, a copy of `loss` if it is one, or that of a callable; otherwise raise `Misuse`."""
    if isinstance(loss, str) and loss in LOSSES:
        return LOSSES[loss]
    refuse_subclass("loss", loss, BUILT_IN, "derive it from deepnets.losses.Loss")
    if isinstance(loss, MSE | CrossEntropy):
        return loss
    if isinstance(loss, Loss):
        if not isinstance(getattr(loss, "name", None), str) or loss.name in LOSSES:
            raise Misuse(f"loss {type(loss).__name__} must have a name of its own, a str, not {getattr(loss, 'name', None)!r}")
        return copy.copy(loss)      # each experiment sets `outputs` of its own
    if isinstance(loss, str | type) or not callable(loss):
        raise Misuse(f"loss must be one of {', '.join(map(repr, LOSSES))}, a torch loss module, a callable (output, target) -> loss, "
                     f"or derived from deepnets.losses.Loss, not {loss!r}")
    return from_torch(loss)


def __dir__() -> list[str]:
    """Return the public names, for completion."""
    return list(__all__)
