"""ReLU in closed form, and dropout with one mask for both values; knows no network."""

from __future__ import annotations

from typing import Any

import torch

from deepnets.pairs.value import Pair, rule, within

TINY = 1e-30     # in place of gamma = 0 in a quotient


@rule("relu")
def relu(func: Any, input: Pair, inplace: bool = False) -> Pair:
    """With r = v0/gamma, the unit is on where d > -r; on: d + min(r, 0), off: -max(r, 0). No digit is lost at any gamma."""
    scale = within(input.scale, input.v0.dtype)
    r = input.v0 / (scale.clamp(min=TINY) if isinstance(scale, torch.Tensor) else max(scale, TINY))
    on = input.d > -r
    d = torch.where(on, input.d + r.clamp(max=0), -r.clamp(min=0))
    # a network all of whose units are off is to give its bias, and not what rounding leaves of v0 - v0
    return Pair(torch.relu(input.v0), d, input.scale, torch.where(on, input.full, torch.zeros_like(d)))


@rule("dropout dropout1d dropout2d dropout3d feature_dropout")
def dropout(func: Any, input: Pair, p: float = 0.5, training: bool | None = None, inplace: bool = False, train: bool | None = None) -> Pair:
    """Draw the mask once, for the frozen value; it serves the difference too."""
    on = training if training is not None else train if train is not None else True
    if not on or p == 0:
        return Pair(input.v0, input.d, input.scale)
    mask = func(torch.ones_like(input.v0), p, True)
    return Pair(input.v0 * mask, input.d * mask, input.scale)
