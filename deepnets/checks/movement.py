"""Measure the change of each layer's activation in a few steps of training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.utils._pytree import tree_leaves

from deepnets.centered import Pair
from deepnets.centered.centered import Centered
from deepnets.experiment import DeepExperiment
from deepnets.kernels.layer_activations import record_calls
from deepnets.precision import arithmetic
from deepnets.training import batch


@dataclass(frozen=True)
class Movement:
    """Root mean squares, over samples and units, of changes by training; not finite where it diverged.

    Attributes
    ----------
    layers : of each layer's output, by the name of its module, in the order of their calls ("network": of parameters outside them).
    read : of the last layer's input, the last hidden activation.
    output : of the centred function f~.
    """

    layers: dict[str, float]
    read: float
    output: float


def measure_movement(experiment: DeepExperiment, gamma: float, eta: float, steps: int, seed: int) -> Movement:
    """Train for `steps` steps and return the change of the activations on the next batch.

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
            return _measure_differences(centered, batch(recipe, seed, steps, like)[0])


def _measure_differences(centered: Centered, x: torch.Tensor) -> Movement:
    """Return the changes of the layers' activations on `x` from those at theta_0."""
    with record_calls(centered.module, centered.coordinates()) as calls:
        output = centered(x)
    squares: dict[str, list[float]] = {}
    read = 0.0
    for call in calls:
        if isinstance(call.output, Pair):
            squares.setdefault(call.name, []).append(_mean_square(call.output.d))
        if call.name != "network":
            read = _mean_square(call.input.d) if isinstance(call.input, Pair) else 0.0
    change = next(leaf for leaf in tree_leaves(output) if isinstance(leaf, torch.Tensor))
    return Movement({name: centered.gamma * float(np.sqrt(np.mean(found))) for name, found in squares.items()},
                 centered.gamma * float(np.sqrt(read)), float(np.sqrt(_mean_square(change))))


def _mean_square(d: torch.Tensor) -> float:
    return float(d.double().square().mean())
