"""Isolate a failed run: runs are trained together, and one by one if that raises.

Divergence is an outcome and raises nothing. An exception is a fault of code or machine, and only the run that causes it is lost.
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
PASSED_ON = (Misuse, MemoryError, torch.OutOfMemoryError)      # not the fault of a single run


@dataclass(frozen=True)
class Failure:
    """Why a run failed: the traceback."""

    traceback: str


def isolate_failures(train: Callable[[np.ndarray], T], which: np.ndarray) -> Iterator[tuple[np.ndarray, T | Failure]]:
    """Yield runs (their indices, all or one) with the result of `train`, or with the failure of a run that raises also when alone.

    Parameters
    ----------
    train : called with indices of runs.
    which : indices of runs, (P,).

    Raises
    ------
    Misuse, MemoryError, torch.OutOfMemoryError : whatever of these `train` raises.
    """
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
        yield from isolate_failures(train, which[i:i + 1])
