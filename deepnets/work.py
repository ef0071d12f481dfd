"""Count what a function does on tensors without data: operations of its products, bytes that its kernels move, and the kernels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import bmm_flop, flop_registry, shape_wrapper

# no kernel, though the schema does not say that the result is a view, or that it has no values yet
WITHOUT_KERNEL = ("empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "_unsafe_view", "reshape", "_reshape_alias",
                  "lift_fresh")


@dataclass(frozen=True)
class Work:
    """Operations (additions and multiplications of products), bytes read and written, and kernels."""

    operations: float
    moved: float
    kernels: int


def count_work(function: Callable[[], Any]) -> Work:
    """Return the work of `function()`, which is called once, on tensors of the device "meta"."""
    with _Kernels() as kernels:
        function()
    return Work(float(kernels.operations), float(kernels.moved), kernels.count)


def _count_convolution_backward(delta: Any, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
                                output_padding: Any, groups: int, mask: Any, **rest: Any) -> int:
    """Return the operations of a convolution's gradients; torch counts those in the weights of a grouped one `groups` times too often."""
    positions = x if transposed else delta
    each = 2 * positions[0] * math.prod(positions[2:]) * math.prod(weight)
    return each * (bool(mask[0]) + bool(mask[1]))


# torch's FlopCounterMode counts the same, but asks every other operation whether it consists of several, which takes longer than all else
PRODUCTS: dict[Any, Callable[..., int]] = {
    **flop_registry, torch.ops.aten.baddbmm_: shape_wrapper(lambda c, a, b, **rest: bmm_flop(a, b)),
    torch.ops.aten.convolution_backward: shape_wrapper(_count_convolution_backward)}


class _Kernels(TorchDispatchMode):
    """Count kernels, operations of products, and bytes of arguments and results; a dimension that repeats its values is read once."""

    def __init__(self) -> None:
        super().__init__()
        self.moved = self.count = self.operations = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False      # to skip torch's compiler, torch would load it first: three seconds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not _starts_none(func):
            self.count += 1
            self.moved += _count_bytes(args) + _count_bytes(result)
            if func._overloadpacket in PRODUCTS:
                self.operations += PRODUCTS[func._overloadpacket](*args, **kwargs, out_val=result)
        return result


@cache
def _starts_none(func: Any) -> bool:
    """Return whether an operation starts no kernel: its result is a view, or has no values yet."""
    schema = func._schema
    views = any(r.alias_info is not None and not r.alias_info.is_write for r in schema.returns)
    return views or schema.name.split("::")[1] in WITHOUT_KERNEL


def _count_bytes(x: Any) -> int:
    """Return the bytes of a tensor, or of those in nested sequences."""
    if isinstance(x, torch.Tensor):
        return x.element_size() * math.prod([n for n, stride in zip(x.shape, x.stride(), strict=True) if stride])
    return sum([_count_bytes(part) for part in x]) if isinstance(x, tuple | list) else 0
