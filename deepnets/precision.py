"""The precision of matrix products and convolutions during training: float32, float64, TensorFloat-32 or bfloat16 operands.

Differences, u and its updates are always float32 (or float64); a precision only rounds the operands of products, and sums are
accumulated in float32. No two large numbers are subtracted in a pair, so rounded operands cost the same digits at every gamma.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import torch
from torch.autograd.function import FunctionCtx

from validation.arguments import Misuse, choose

DTYPES = {"auto": torch.float32, "float32": torch.float32, "float64": torch.float64, "tf32": torch.float32, "bf16": torch.float32}
_narrow: ContextVar[bool] = ContextVar("narrow", default=False)      # each thread has its own


def as_precision(precision: object, device: str) -> str:
    """Return `precision` if the device supports it; otherwise raise `Misuse`."""
    choose("precision", precision, DTYPES)
    if precision == "tf32" and not device.startswith("cuda"):
        raise Misuse(f"precision 'tf32' needs a CUDA device, and this is {device!r}; "
                     "'auto', 'float32', 'float64' and 'bf16' run everywhere")
    return str(precision)


def describe(precision: str, device: str) -> dict[str, Any]:
    """Return a portrait's attributes: the precision, the dtype of u, whether TensorFloat-32 is used."""
    return {"precision": precision, "dtype": str(DTYPES[precision]).removeprefix("torch."),
            "tf32": int(precision in ("tf32", "bf16") and device.startswith("cuda"))}


class arithmetic:
    """A context in which products on a device have the operands of `precision`.

    On a GPU, "tf32" and "bf16" let float32 products use tensor cores: every bfloat16 is a TensorFloat-32, so that rounded operands lose
    nothing more. The other precisions switch tensor cores off, whatever the process had chosen.
    """

    def __init__(self, precision: str, device: str | torch.device) -> None:
        self.precision, self.cuda = precision, torch.device(device).type == "cuda"

    def __enter__(self) -> None:
        self.before = _narrow.set(self.precision == "bf16")
        if self.cuda:
            self.products, self.convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
            _tensor_cores("high" if self.precision in ("tf32", "bf16") else "highest", self.precision in ("tf32", "bf16"))

    def __exit__(self, *_: object) -> None:
        _narrow.reset(self.before)
        if self.cuda:
            _tensor_cores(self.products, self.convolutions)


def _tensor_cores(products: str, convolutions: bool) -> None:
    torch.set_float32_matmul_precision(products)
    torch.backends.cudnn.allow_tf32 = convolutions


def has_narrow_operands() -> bool:
    """Return whether operands of products are rounded in this context."""
    return _narrow.get()


def contracting(multiply: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return `multiply(a, b)`, a sum of products, with operands of this context's precision, also in the backward pass."""
    if not _narrow.get():
        return multiply
    return lambda a, b: _NarrowBack.apply(multiply(_Narrow.apply(a), _Narrow.apply(b)))


def _round(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch.bfloat16).to(x.dtype)


class _Narrow(torch.autograd.Function):
    """Round the value to bfloat16; leave the gradient, a sum of products, unchanged."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: torch.Tensor) -> torch.Tensor:
        return _round(x)

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: torch.Tensor) -> torch.Tensor:
        return gradient


class _NarrowBack(torch.autograd.Function):
    """Leave the value unchanged; round the gradient, which is an operand of the backward pass's products."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: torch.Tensor) -> torch.Tensor:
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: torch.Tensor) -> torch.Tensor:
        return _round(gradient)


def operand(x: torch.Tensor) -> torch.Tensor:
    """Return a tensor as an operand of `bmm`, in this context's precision: bfloat16 where the device multiplies those into float32."""
    if not _narrow.get():
        return x
    return x.to(torch.bfloat16) if x.is_cuda and _INTO_FLOAT32 else _round(x)


def bmm(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the batched product of two operands (P, n, m) and (P, m, k), summed and returned in float32 or float64."""
    return torch.bmm(a, b) if a.dtype != torch.bfloat16 else torch.bmm(a, b, out_dtype=torch.float32)     # type: ignore[call-overload]


def mm(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the product of two operands (n, m) and (m, k), as `bmm` does."""
    return torch.mm(a, b) if a.dtype != torch.bfloat16 else torch.mm(a, b, out_dtype=torch.float32)       # type: ignore[call-overload]


def multiply_add(c: torch.Tensor, a: torch.Tensor, b: torch.Tensor, by: float) -> torch.Tensor:
    """Return ``by (c + a b)``, `a` and `b` operands of `bmm`, in place of c."""
    return c.baddbmm_(a, b, beta=by, alpha=by) if a.dtype == c.dtype else c.add_(bmm(a, b)).mul_(by)


def bmm_by(a: torch.Tensor, b: torch.Tensor, by: float) -> torch.Tensor:
    """Return ``by a b``, the operands as of `bmm`, the factor one of the product's own."""
    return bmm(a, b).mul_(by) if a.dtype == torch.bfloat16 else torch.baddbmm(a.new_empty(()), a, b, beta=0, alpha=by)


def mm_by(a: torch.Tensor, b: torch.Tensor, by: float) -> torch.Tensor:
    """Return ``by a b``, the operands as of `mm`."""
    return mm(a, b).mul_(by) if a.dtype == torch.bfloat16 else torch.addmm(a.new_empty(()), a, b, beta=0, alpha=by)


def add_product(c: torch.Tensor, a: torch.Tensor, b: torch.Tensor, by: float) -> None:
    """Add ``by a b`` to c, in place, the operands as of `bmm`."""
    if a.dtype == torch.bfloat16:
        c.add_(bmm(a, b), alpha=by)
    else:
        c.baddbmm_(a, b, alpha=by)


_INTO_FLOAT32 = hasattr(torch.ops.aten.bmm, "dtype")      # since torch 2.8; before, the operands are rounded in float32
