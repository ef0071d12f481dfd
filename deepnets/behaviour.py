"""Describe a user's loss, optimizer or schedule for a portrait: its name, its numbers, and a digest of what it gives for fixed inputs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike


def name_callable(function: Any) -> str:
    """Return module and qualified name of a function, or of an object's class."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def describe_numbers(settings: Any) -> dict[str, Any]:
    """Return the public attributes of an object that are numbers, texts, booleans or None, as JSON."""
    return {n: v for n, v in sorted(vars(settings).items()) if n[0] != "_" and (v is None or isinstance(v, str | bool | int)
                                                                              or (isinstance(v, float) and math.isfinite(v)))}


def make_numbers(shape: tuple[int, ...], which: int = 0) -> torch.Tensor:
    """Return numbers of order 1, float64, the same on every machine; `which` chooses among sets of them."""
    return torch.sin(torch.arange(1, math.prod(shape) + 1, dtype=torch.float64) * (1 + 2**0.5 + which)).reshape(shape) * 1.5


def hash_values(values: Iterable[ArrayLike | torch.Tensor]) -> str:
    """Return a digest of numbers to six digits, which rounding on another machine leaves as it is."""
    digest = hashlib.sha256()
    for given in values:
        array = given.detach().cpu().double().numpy() if isinstance(given, torch.Tensor) else np.asarray(given, dtype=np.float64)
        least = 1e-9 * float(np.max(np.abs(array[np.isfinite(array)]), initial=0))      # a difference of rounding alone counts as 0
        digest.update(" ".join(f"{0.0 if abs(v) <= least else v:.5e}" for v in array.ravel()).encode() + b";")
    return digest.hexdigest()[:16]


def name_error(error: Exception) -> str:
    """Return the class of an error and the first line of its message."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
