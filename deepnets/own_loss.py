"""Describe a loss of one's own by its values for the outputs of an experiment's network; warn if it fell below its least value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from deepnets.batched.state import evaluation_mode
from deepnets.losses import Loss
from deepnets.losses.check import describe_loss
from deepnets.tasks import Task
from deepnets.tasks.task import draw_batch, place_like
from validation.arguments import Misuse
from validation.user_warnings import warn_user

SAMPLES = 2      # of the task, whose targets the values are of
ROUNDING = 1e-5      # of a least value


def describe_own_loss(loss: Loss, task: Task, build: Callable[[], nn.Module] | None) -> dict[str, Any]:
    """Return the description of a loss for the task's first targets.

    Parameters
    ----------
    build : returns the network, whose outputs the loss takes; None: outputs are of the shape that the task's targets give.

    Raises
    ------
    Misuse : the network gives no tensor, or the loss fails.
    """
    x, y = draw_batch(task, 0, 0, SAMPLES, loss)
    if build is None:
        return describe_loss(loss, Loss.shapes(loss, y, task.out_features)[0], y, task.out_features)
    module = build()
    with torch.no_grad(), torch.random.fork_rng(devices=[]), evaluation_mode(module):
        f = module(place_like(x, next(module.parameters())))
    if not isinstance(f, torch.Tensor):
        raise Misuse(f"network must give a tensor, not a {type(f).__name__}: deepnets.wrap(model, output=...) picks one")
    return describe_loss(loss, tuple(f.shape), y.cpu(), task.out_features)


def warn_below_least(loss: Loss, values: np.ndarray) -> None:
    """Warn if some of the losses, (T + 1, P), are below the loss's least value."""
    lowest = float(np.min(values, where=np.isfinite(values), initial=np.inf))
    if lowest < loss.least - ROUNDING * abs(loss.least):
        warn_user(f"the loss {loss.name} fell to {lowest:.6g}, below its least value, {loss.least:g}, from which excesses are "
                  "measured: give the least value as deepnets.losses.from_torch(loss, least=...)")
