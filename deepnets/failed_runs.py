"""Runs trained together, and one by one where that crashes, so that one that fails takes no other along; knows no network.

Divergence is an outcome and raises nothing. What raises is a fault in somebody's code, or in a machine.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from validation.arguments import Misuse

T = TypeVar("T")
PASSED_ON = (Misuse, MemoryError, torch.OutOfMemoryError)      # no run's own fault; and what is no `Exception` anyway: an interrupt


@dataclass(frozen=True)
class Failure:
    """Why a run failed: the traceback."""

    traceback: str


def salvaged(train: Callable[[np.ndarray], T], which: np.ndarray) -> Iterator[tuple[np.ndarray, T | Failure]]:
    """Yield the runs `which` (indices) with what `train` made of them, or, for one that crashes by itself too, with its failure."""
    try:
        yield which, train(which)
        return
    except PASSED_ON:
        raise
    except Exception:
        if len(which) == 1:
            yield which, Failure(traceback.format_exc())
            return
    for i in range(len(which)):
        yield from salvaged(train, which[i:i + 1])
