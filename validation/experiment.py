"""Experiment: the one plug. Whoever offers `describe` and `measure` gets sweeps, edges, fits and verdicts; knows no model."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Protocol, runtime_checkable

import numpy as np
import xarray as xr

from validation.arguments import Misuse


@runtime_checkable
class Experiment(Protocol):
    """Anything that can be trained at (gamma, eta) and described. It may be subclassed, or merely resembled.

    Three class attributes may be added: ``tile`` (rows, columns), the piece of a plane that `sweep` asks for at once;
    ``scan_per_decade``, the least number of rates a decade at which `trace` may scan (combs and fringes need a fine one);
    ``sections``, the number of rates inside a bracket that `trace` asks for at once (1: bisection, the fewest runs).
    And a method ``check()``, which raises `Misuse` where nothing can be trained: `sweep` asks before it makes a store, if it is this
    machine that measures.
    """

    def describe(self) -> dict[str, Any]:
        """Return all that determines the result, as JSON, at full precision; its digest names the experiment."""
        ...

    def measure(self, gamma: np.ndarray, eta: np.ndarray) -> xr.Dataset:
        """Train at every pair and return a portrait: `gamma` (n,), `eta` (m,) or, one axis per gamma, (n, m)."""
        ...


def as_experiment(experiment: Any) -> Experiment:
    """Return `experiment` if it has the two methods; otherwise raise `Misuse`."""
    if isinstance(experiment, type) or not isinstance(experiment, Experiment):
        raise Misuse(f"experiment must have describe() and measure(gamma, eta), as ToyExperiment has, not {experiment!r}")
    return experiment


def checked(experiment: Any) -> Any:
    """Return `experiment` if its own ``check()``, where it has one, lets it pass."""
    check = getattr(experiment, "check", None)
    if callable(check):
        check()
    return experiment


def digest(description: dict[str, Any]) -> str:
    """Return the name of an experiment: a SHA-256 of its description, less seeds and plane, which a store may extend."""
    kept = {k: v for k, v in description.items() if k not in ("seed", "seeds", "plane")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, allow_nan=False).encode()).hexdigest()[:16]
