"""A step of SGD on a stack of MLPs in which the products do the rest: multipliers are their factors, and u is updated by them.

No tensor holds a gradient: u of a layer is what its gradient's product is added to. The rate, another one for each run, multiplies the
slope of the loss, from which every gradient follows in proportion. `MLPStack` is the reference.
"""

from __future__ import annotations

import torch

from deepnets.batched.mlp_stack import MLPStack
from deepnets.batched.rectified_pairs import Rectifier
from deepnets.batched.state import Parameters
from deepnets.losses import Loss
from deepnets.precision import add_product, bmm_by, mm, mm_by, multiply_add, operand

_Saved = list[tuple[torch.Tensor, torch.Tensor | None]]      # of each layer: its inputs in the moved network, and which are on (None: all)


def _propagate(stack: MLPStack, u: Parameters, gamma: torch.Tensor, x: torch.Tensor, rectify: Rectifier) -> tuple[torch.Tensor, _Saved]:
    """Return the outputs (P, batch, K), and what the backward pass needs."""
    g = gamma[:, None, None]
    frozen, d, on = x.flatten(1), None, None
    moved = operand(frozen).expand(len(g), *frozen.shape)
    saved: _Saved = []
    for i, layer in enumerate(stack.layers):
        saved.append((moved, on))
        move, weight, hidden = operand(u[f"layers.{i}.weight"]).mT, operand(layer.weight.mT), i < len(stack.layers) - 1
        if d is None:
            d = bmm_by(moved, move, layer.multiplier)
        else:
            d = multiply_add(mm(operand(d).flatten(0, 1), weight).unflatten(0, d.shape[:2]), moved, move, layer.multiplier)
        if hidden or not stack.centred:
            frozen = mm_by(operand(frozen), weight, layer.multiplier)
        if layer.bias is not None:
            d += u[f"layers.{i}.bias"][:, None, :]
            frozen = frozen + layer.bias if hidden or not stack.centred else frozen
        if hidden and stack.rectified:
            d, moved, on = rectify(d, frozen, gamma)
            moved = operand(moved)
        elif hidden:
            moved = operand(torch.addcmul(frozen, g, d))
    assert d is not None
    return d if stack.centred else d + frozen / g, saved


def take_step(stack: MLPStack, u: Parameters, gamma: torch.Tensor, x: torch.Tensor, y: torch.Tensor, loss: Loss, rate: torch.Tensor,
              rates: dict[str, float], rectify: Rectifier) -> torch.Tensor:
    """Move u by ``-rate rates[name]`` times its gradient, in place, and return the loss of each run before that, (P,).

    Parameters
    ----------
    stack, u, gamma, x, y, loss : as of `MLPStack.gradients`.
    rate : (P,).
    rates : each parameter's rate over `rate`, by name.
    rectify : as of `deepnets.batched.rectified_pairs.choose_rectifier`.
    """
    output, saved = _propagate(stack, u, gamma, x, rectify)
    delta = loss.slope(output, y).mul_(-rate[:, None, None])
    for i in reversed(range(len(saved))):
        inputs, on = saved.pop()
        layer, weight, bias = stack.layers[i], f"layers.{i}.weight", f"layers.{i}.bias"
        right, below = operand(delta), None
        if i > 0:      # before u is moved
            below = bmm_by(right, operand(torch.addcmul(layer.weight, gamma[:, None, None], u[weight])), layer.multiplier)
            if on is not None:
                below.mul_(on)
        if layer.bias is not None:
            u[bias].add_(delta.sum(1), alpha=rates[bias])
        add_product(u[weight], right.mT, inputs, layer.multiplier * rates[weight])
        if below is not None:
            delta = below
    return loss.value(output, y)
