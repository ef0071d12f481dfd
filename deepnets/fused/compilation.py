"""Compile kernels and their parts with numba."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from numba import njit

from validation.machine_code import cache_machine_code

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False}


def part_of_kernel(function: Callable[..., Any]) -> Any:
    """Return a function that kernels call, compiled with them: its machine code is in the cache of each kernel."""
    return njit(**OPTIONS)(function)


def compile_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function compiled by numba, its machine code cached on disk (see `validation.machine_code`)."""
    return cache_machine_code(partial(_compile, function))


def _compile(function: Callable[..., Any], cache: bool) -> Any:
    return njit(cache=cache, **OPTIONS)(function)
