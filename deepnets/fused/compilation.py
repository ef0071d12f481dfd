"""Compile kernels with numba, their machine code cached on disk."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba import njit

DAMAGED = (pickle.UnpicklingError, EOFError, OSError, ValueError, LookupError, AttributeError, ImportError)      # of a cache's entry
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False}


def part_of_kernel(function: Callable[..., Any]) -> Any:
    """Return a function that kernels call, compiled with them: its machine code is in the cache of each kernel."""
    return njit(**OPTIONS)(function)


def compile_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function compiled by numba, its machine code cached on disk where numba finds a folder that can be written.

    A damaged cache is thrown away and written anew; where there is no folder for it, every process compiles.
    """
    compiled = _compile(function)

    def call(*arguments: Any) -> Any:
        nonlocal compiled
        try:
            return compiled(*arguments)
        except DAMAGED:
            # the kernels themselves raise nothing: an entry of the cache cannot be read
            if getattr(compiled, "_cache", None) is None:
                raise
            with suppress(OSError):
                compiled._cache.flush()
            compiled = _compile(function)
            return compiled(*arguments)

    return call


def _compile(function: Callable[..., Any]) -> Any:
    try:
        return njit(cache=True, **OPTIONS)(function)
    except RuntimeError:      # no folder for the cache: a read-only installation and no home
        return njit(**OPTIONS)(function)
