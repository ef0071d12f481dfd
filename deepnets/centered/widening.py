"""Evaluate a module in float64 throughout: casts to narrower types, and tensors that the module makes itself, become float64.

A published RMS norm casts its input to float32. In a float64 copy that cast would leave rounding of 1e-7, which the subtraction of two
copies divides by gamma.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

WIDE = {torch.float32: torch.float64, torch.float16: torch.float64, torch.bfloat16: torch.float64, torch.complex64: torch.complex128,
        torch.complex32: torch.complex128}
CASTS = {getattr(torch.Tensor, narrow): getattr(torch.Tensor, wide) for narrow, wide in
         (("float", "double"), ("half", "double"), ("bfloat16", "double"), ("cfloat", "cdouble"), ("chalf", "cdouble"))}
LEGACY = {f"torch.{kind}Tensor": "torch.DoubleTensor" for kind in ("Float", "Half", "BFloat16")}
DRAWS = frozenset({"rand", "randn", "rand_like", "randn_like"})
FILLS = frozenset({"normal_", "uniform_", "exponential_", "cauchy_", "log_normal_", "geometric_"})
MADE = frozenset({"zeros", "ones", "empty", "full", "eye", "linspace", "logspace", "tensor", "as_tensor", "asarray", "scalar_tensor",
                  "arange", "hann_window", "hamming_window", "blackman_window", "bartlett_window", "kaiser_window"})
UNCHANGED = frozenset({"__get__", "__set__", "promote_types", "can_cast", "result_type", "is_tensor", "is_floating_point", "is_complex"})


class Widening(TorchFunctionMode):
    """A context in which floating-point tensors and dtype arguments of torch's functions are float64 (complex ones complex128).

    Parameters
    ----------
    drawn : the dtype in which random numbers are drawn before they are widened: that of the module as it is trained otherwise, so that it
        draws the same numbers.
    """

    def __init__(self, drawn: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.drawn = drawn

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call `func` with wide arguments and return a wide result."""
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if name in UNCHANGED:
            return func(*args, **kwargs)
        if name in FILLS and self.drawn != args[0].dtype and args[0].is_floating_point():
            return args[0].copy_(func(torch.empty_like(args[0], dtype=self.drawn), *args[1:], **kwargs))
        in_place = name.endswith("_") and (not name.endswith("__") or name.startswith("__i") or name == "__setitem__")
        first = 1 if in_place and args else 0      # written to, and cannot be replaced
        bits = name == "view" and args and not (args[0].is_floating_point() or args[0].is_complex())
        if not bits:
            args = (*args[:first], *(_widen(x) for x in args[first:]))
            kwargs = {k: x if k == "out" else _widen(x) for k, x in kwargs.items()}
        if name in DRAWS and self.drawn != torch.float64:
            return self._draw(func, args, kwargs)
        result = CASTS.get(func, func)(*args, **kwargs)
        if in_place or bits or not _is_narrow(result):
            return result
        return func(*args, **kwargs, dtype=WIDE[result.dtype]) if name in MADE and "dtype" not in kwargs else _widen(result)

    def _draw(self, func: Callable[..., Any], args: Any, kwargs: Any) -> torch.Tensor:
        requested = kwargs.get("dtype")
        if requested is not None and requested != torch.float64:
            return func(*args, **kwargs)
        like = args[0] if args and isinstance(args[0], torch.Tensor) else None
        if like is not None and requested is None and not like.is_floating_point():
            return func(*args, **kwargs)
        return func(*args, **(kwargs | {"dtype": self.drawn})).double()


def _is_narrow(x: Any) -> bool:
    if isinstance(x, list | tuple):
        return any(map(_is_narrow, x))
    return isinstance(x, torch.Tensor) and x.dtype in WIDE


def _widen(x: Any) -> Any:
    """Return nested arguments with wide tensors and dtypes."""
    if isinstance(x, torch.Tensor):
        return x.to(WIDE[x.dtype]) if x.dtype in WIDE else x
    if isinstance(x, torch.dtype):
        return WIDE.get(x, x)
    if type(x) in (list, tuple):
        return type(x)(map(_widen, x))
    if isinstance(x, tuple) and _is_narrow(x):      # torch's named tuples
        return type(x)(map(_widen, x))
    if type(x) is dict:
        return {k: _widen(y) for k, y in x.items()}
    return LEGACY.get(x, x) if isinstance(x, str) else x
