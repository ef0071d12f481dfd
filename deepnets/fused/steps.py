"""The numbers that a kernel's steps take of an optimizer: the kind of step, its scalars, rates, and weight decay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepnets.optimizers import SGD, Adam, AdamW, HeavyBall, Lion, SignSGD

if TYPE_CHECKING:
    from deepnets.training import Recipe

SCALARS = 6
KINDS = {"sgd": 0, "signsgd": 1, "momentum": 2, "nesterov": 3, "adam": 4, "adamw": 4, "lion": 5}      # as in `propagation`
LARGEST = float(np.finfo(np.float32).max) / 1e6


def list_scalars(recipe: Recipe, start: int, stop: int) -> np.ndarray:
    """Return the scalars of the optimizer's pass at each step, (T, 6)."""
    optimizer, scalars = recipe.optimizer, np.zeros((stop - start, SCALARS))
    if isinstance(optimizer, HeavyBall):
        scalars[:, 0] = optimizer.beta
    elif isinstance(optimizer, SGD):
        scalars[:, 0] = optimizer.momentum
    elif isinstance(optimizer, Lion):
        scalars[:, :2] = 1 - optimizer.beta1, 1 - optimizer.beta2
    elif isinstance(optimizer, Adam | AdamW):
        after = np.arange(start + 1, stop + 1)
        scalars[:, :3] = 1 - optimizer.beta1, optimizer.beta2, 1 - optimizer.beta2
        scalars[:, 3], scalars[:, 4], scalars[:, 5] = 1 / (1 - optimizer.beta1**after), 1 / (1 - optimizer.beta2**after), optimizer.epsilon
    else:
        assert isinstance(optimizer, SignSGD)
    return scalars.astype(np.float32)


def list_rates(recipe: Recipe, names: list[str], start: int, stop: int) -> np.ndarray:
    """Return the rates of weights and biases over a run's own at each step, (T, L, 2); after the last step they are 0."""
    each = np.array([[recipe.rates[f"{name}.weight"], recipe.rates.get(f"{name}.bias", 0)] for name in names])
    return (list_factors(recipe, start, stop)[:, None, None] * each).astype(np.float32)


def list_factors(recipe: Recipe, start: int, stop: int) -> np.ndarray:
    """Return the schedule's factors, (T,), 0 after the last step."""
    return np.append(recipe.factors, 0)[start:stop].astype(np.float32)


def limit_rates(rate: np.ndarray) -> np.ndarray:
    """Return rates of the runs in float32, each at most 1e-6 of its largest number."""
    return np.minimum(rate, LARGEST).astype(np.float32)
