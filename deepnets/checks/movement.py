"""A few steps of training, and how far they moved the activation of each layer; knows no verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from deepnets.difference import Centered
from deepnets.experiment import DeepExperiment
from deepnets.pairs import Pair
from deepnets.precision import arithmetic
from deepnets.training import batch


@dataclass(frozen=True)
class Moved:
    """Root mean squares over samples and units of what training has added; not finite where it diverged.

    Attributes
    ----------
    layers : of each layer's output, by the name of its module, in the order of their calls ("network": of parameters outside them).
    read : of what the last layer reads, the last hidden activation.
    output : of the centred function f~.
    """

    layers: dict[str, float]
    read: float
    output: float


def moved(experiment: DeepExperiment, gamma: float, eta: float, steps: int, seed: int) -> Moved:
    """Train for `steps` steps and return how far the activations have moved on the batch after them.

    The changes are the differences that pairs carry, times gamma: no two activations are subtracted. A layer is a module that itself
    holds trained parameters.

    Parameters
    ----------
    experiment : network, task, loss, optimizer, schedule, batch size, precision and device.
    gamma, eta : > 0.
    steps : >= 1.
    seed : of weights and stream.
    """
    module = experiment.theta_0(seed)
    like, recipe, optimizer = next(module.parameters()), experiment.recipe(module), experiment.optimizer
    centered = Centered(module, gamma, "pairs")
    u = centered.coordinates()
    memory = {n: [torch.zeros_like(d) for _ in range(optimizer.memories)] for n, d in u.items()}
    on_gpu = [experiment.device] if experiment.device.startswith("cuda") else []
    with torch.random.fork_rng(devices=on_gpu), arithmetic(experiment.precision, experiment.device):
        torch.manual_seed(seed)                                    # for what the module draws (dropout)
        for step, factor in enumerate(experiment.schedule.factors(steps)):
            x, y = batch(recipe, seed, step, like)
            with torch.enable_grad():
                gradients = torch.autograd.grad(experiment.loss.value(centered(x), y), list(u.values()), materialize_grads=True)
            with torch.no_grad():
                for (n, d), g in zip(u.items(), gradients, strict=True):
                    rate = eta / gamma**optimizer.power * recipe.rates[n] * float(factor)
                    d.sub_(optimizer.direction(g, memory[n], step), alpha=rate)
        with torch.no_grad():
            return _differences(centered, batch(recipe, seed, steps, like)[0])


def _differences(centered: Centered, x: torch.Tensor) -> Moved:
    """Return what the layers' activations on `x` differ by from those of theta_0."""
    squares: dict[str, list[float]] = {}
    read = [0.0]

    def look(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            made, taken = _first(output, Pair), _first(inputs, Pair)
            if made is not None:
                squares.setdefault(name or "network", []).append(_mean_square(made.d))
            if name:
                read[0] = 0.0 if taken is None else _mean_square(taken.d)
        return hook

    names = {n.rpartition(".")[0] for n in centered.coordinates()}
    hooks = [m.register_forward_hook(look(name)) for name, m in centered.module.named_modules() if name in names]
    try:
        output = centered(x)
    finally:
        for hook in hooks:
            hook.remove()
    return Moved({name: centered.gamma * float(np.sqrt(np.mean(found))) for name, found in squares.items()},
                 centered.gamma * float(np.sqrt(read[0])), float(np.sqrt(_mean_square(_first(output, torch.Tensor)))))


def _first(made: Any, kind: type) -> Any:
    """Return the first of that kind in what a module took or gave (attention gives a tuple), None if there is none."""
    return next((leaf for leaf in tree_leaves(made) if isinstance(leaf, kind)), None)


def _mean_square(d: torch.Tensor) -> float:
    return float(d.double().square().mean())
