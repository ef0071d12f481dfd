"""Isolate a failed run: runs are trained together, and one by one if that raises.

Divergence is an outcome and raises nothing. An exception is a fault of code or machine, and only the run that causes it is lost. An error
of the accelerator itself is no run's fault: it ends the process, and nothing is stored.
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
# messages of allocations that fail inside a library, and of a device that has failed; torch has a class of its own for only some of them
OUT_OF_MEMORY = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION",
                 "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION", "CUSOLVER_STATUS_ALLOC_FAILED", "CUFFT_ALLOC_FAILED")
DEVICE_FAILED = ("CUDA error", "CUBLAS_STATUS_", "CUDNN_STATUS_", "CUSOLVER_STATUS_", "CUSPARSE_STATUS_", "device-side assert")


class BrokenDevice(BaseException):
    """The accelerator has failed, and what this process computes on it cannot be trusted; no `Exception`, so that nothing goes on."""


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
    Misuse, MemoryError, torch.OutOfMemoryError : whatever of these `train` raises; the last also for allocations that fail in cuBLAS, cuDNN
        and other libraries.
    BrokenDevice : for other errors of the accelerator.
    """
    try:
        yield which, train(which)
        return
    except PASSED_ON:
        raise
    except Exception as error:
        raise_device_errors(error)
        if len(which) == 1:
            yield which, Failure(traceback.format_exc())
            return
    for i in range(len(which)):
        yield from isolate_failures(train, which[i:i + 1])


def raise_device_errors(error: Exception) -> None:
    """Raise `torch.OutOfMemoryError` or `BrokenDevice` if that is what an exception means; return otherwise."""
    text = str(error)
    accelerator = isinstance(error, getattr(torch, "AcceleratorError", ()))      # since torch 2.8; a RuntimeError before
    if not accelerator and not isinstance(error, RuntimeError):
        return
    if any(message in text for message in OUT_OF_MEMORY):
        raise torch.OutOfMemoryError(text) from error
    if accelerator or any(message in text for message in DEVICE_FAILED):
        raise BrokenDevice(f"the accelerator failed, and this process must end: {text}") from error
