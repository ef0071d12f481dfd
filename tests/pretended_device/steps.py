"""Fail where the host waits for the device within a step of training."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from deepnets.training import CHECK_EVERY
from tests.pretended_device.tensors import COUNTS


class WaitsInAStep(AssertionError):
    """The host waits for the device between two steps that are neither checked nor evaluated."""


def without_waits(train: Callable[..., Any]) -> Callable[..., Any]:
    """Return `train`, as of `deepnets.training`, with a count of waits at each step from the second on."""
    @functools.wraps(train)
    def counted(module: Any, stack: Any, recipe: Any, gamma: Any, eta: Any, seed: int, watcher: Any = None) -> Any:
        observed, before = {*recipe.judged_at, *recipe.curves}, COUNTS.waits.copy()

        def count(step: int, *state: Any) -> None:
            nonlocal before
            last = step - 1
            if last >= 1 and step not in observed and last not in observed and step % CHECK_EVERY:
                more = COUNTS.waits - before
                if more:
                    raise WaitsInAStep(f"the host waits within step {last}: {dict(more)}")
            if watcher is not None:
                watcher(step, *state)
            before = COUNTS.waits.copy()
        return train(module, stack, recipe, gamma, eta, seed, count)
    return counted
