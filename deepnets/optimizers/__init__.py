"""Optimizers of networks: the package's, their protocol for one's own, and their descriptions.

With ``theta = theta_0 + gamma u`` and g the gradient in u, a step of size eta in theta is one of ``eta/gamma**2`` along g, and one of
``eta/gamma`` along a direction without scale (a sign, Adam's quotient).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from deepnets.behaviour import describe_numbers, hash_values, name_callable
from deepnets.optimizers.adaptive import Adam, AdamW, Lion
from deepnets.optimizers.momentum import SGD, HeavyBall, SignSGD
from deepnets.optimizers.muon import Muon
from deepnets.optimizers.protocol import AdaptedOptimizer, Optimizer, check_own, try_directions
from validation.arguments import Misuse, refuse_subclass

__all__ = ["SGD", "Adam", "AdamW", "HeavyBall", "Lion", "Muon", "Optimizer", "SignSGD"]

BUILT_IN = (SGD, SignSGD, HeavyBall, Adam, AdamW, Lion, Muon)
OPTIMIZERS: dict[str, Callable[[], Optimizer]] = {
    "sgd": SGD, "signsgd": SignSGD, "momentum": HeavyBall, "adam": Adam, "nesterov": partial(SGD, momentum=0.9, nesterov=True),
    "adamw": AdamW, "lion": Lion, "muon": Muon}


def as_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """Return the optimizer of that name with its default numbers, or `optimizer` itself if it is one; otherwise raise `Misuse`."""
    if isinstance(optimizer, str) and optimizer in OPTIMIZERS:
        return OPTIMIZERS[optimizer]()
    refuse_subclass("optimizer", optimizer, BUILT_IN, "derive it from deepnets.optimizers.Optimizer")
    if isinstance(optimizer, BUILT_IN):
        return optimizer
    if isinstance(optimizer, str | type) or not callable(getattr(optimizer, "direction", None)):
        raise Misuse(f"optimizer must be one of {', '.join(map(repr, OPTIMIZERS))}, an object of deepnets.optimizers, or of your own "
                     f"class derived from deepnets.optimizers.Optimizer, not {repr(optimizer).splitlines()[0]}")
    return check_own(optimizer if isinstance(optimizer, Optimizer) else AdaptedOptimizer(optimizer))


def describe(optimizer: Optimizer) -> dict[str, Any]:
    """Return the optimizer as JSON: its name and numbers; of one's own also its class, and a digest of what it does to fixed gradients."""
    if isinstance(optimizer, SGD):
        return optimizer.describe()
    if isinstance(optimizer, BUILT_IN):
        return {"name": optimizer.name, **asdict(optimizer)}      # type: ignore[call-overload]
    own = optimizer.original if isinstance(optimizer, AdaptedOptimizer) else optimizer
    return {"name": optimizer.name, "class": name_callable(own), **describe_numbers(own), "digest": hash_values(try_directions(optimizer))}


def __dir__() -> list[str]:
    """Return the public names, for completion."""
    return list(__all__)
