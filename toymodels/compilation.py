"""Compile the loops of the toys by numba: kernels, which Python calls, and loops, which kernels call by their address.

A kernel that is written for all models calls the loop of one model once for many steps, so that only the loop is compiled for each model.
Called through a function of Python's it would be ten times slower, and its machine code could not be cached.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core.ccallback import CFunc
from numba.extending import intrinsic

from validation.machine_code import cache_machine_code

OPTIONS: dict[str, Any] = {"error_model": "numpy", "boundscheck": False}
POINTER, NUMBER, WHOLE = types.CPointer(types.float64), types.float64, types.int64
STEPS = WHOLE(*(POINTER,) * 5, *(WHOLE,) * 3)     # of loops that take steps
EXCESS = NUMBER(NUMBER, POINTER)                  # of an excess, from f and its units


def compile_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function compiled by numba, its machine code cached on disk (see `validation.machine_code`)."""
    return cache_machine_code(partial(_compile, function))


def _compile(function: Callable[..., Any], cache: bool) -> Any:
    return njit(cache=cache, nogil=True, **OPTIONS)(function)


def compile_loop(function: Callable[..., Any], signature: Any) -> Callable[[], int]:
    """Return what returns the address of the compiled function, for kernels; its machine code is cached as that of a kernel.

    Parameters
    ----------
    function : of the signature's pointers and numbers; it returns a number.
    signature : `STEPS` or `EXCESS`; kernels call such a function by `call_steps` or `call_excess`.
    """
    return cache_machine_code(partial(_Loop, function, signature))


class _Loop:
    """A loop that is compiled, or read from the cache, when it is first called; it returns its address."""

    def __init__(self, function: Callable[..., Any], signature: Any, cache: bool) -> None:
        self.loop: Any = CFunc(function, (signature.args, signature.return_type), locals={}, options=OPTIONS)
        if cache:
            self.loop.enable_caching()
        self.__wrapped__ = function

    @property
    def _cache(self) -> Any:
        return self.loop._cache

    def __call__(self) -> int:
        if self.loop.address is None:
            self.loop.compile()
        return int(self.loop.address)


def _call_with(signature: Any) -> tuple[Any, Any]:
    """Return the signature of a call, of an address and of the arguments, pointers as addresses, and what generates its code."""
    given = [WHOLE if x is POINTER else x for x in signature.args]

    def generate(context: Any, builder: Any, call: Any, args: Any) -> Any:
        wanted = [context.get_value_type(x) for x in signature.args]
        function = ir.FunctionType(context.get_value_type(signature.return_type), wanted)
        passed = [builder.inttoptr(x, w) if w.is_pointer else x for x, w in zip(args[1:], wanted, strict=True)]
        return builder.call(builder.inttoptr(args[0], function.as_pointer()), passed)

    return signature.return_type(WHOLE, *given), generate


@intrinsic
def call_steps(typing_context: Any, address: Any, a: Any, b: Any, c: Any, d: Any, e: Any, i: Any, j: Any, k: Any) -> Any:
    """Call the loop at an address, of the signature `STEPS`, and return what it returns."""
    return _call_with(STEPS)


@intrinsic
def call_excess(typing_context: Any, address: Any, f: Any, units: Any) -> Any:
    """Call the function at an address, of the signature `EXCESS`, and return what it returns."""
    return _call_with(EXCESS)
