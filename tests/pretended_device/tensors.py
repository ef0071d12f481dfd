"""Tensors that report the device cuda:0 and are computed on the CPU, with a check and a count of every operation."""

from __future__ import annotations

import math
import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = str(Path(__file__).resolve().parents[2]) + os.sep
HERE = str(Path(__file__).resolve().parent)
BYTES = 141_000_000_000      # of an H200
CUDA, CPU = torch.device("cuda:0"), torch.device("cpu")

# operations after which the host waits for the device
WAITS = {"_local_scalar_dense", "item", "equal", "is_nonzero", "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive",
         "bincount", "_linalg_eigh", "_linalg_svd", "_linalg_check_errors"}
# operations that may have arguments on both devices
MIXED = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put", "_to_copy", "copy_"}
MAY_WAIT = WAITS | {"index", "index_put_", "index_put", "copy_", "_to_copy"}
SPECIAL = {"cuda", "tolist", "to"}      # functions whose meaning depends on the device, without arguments by name
NESTED, PLAIN = {list, tuple, dict}, {int, float, bool, str, type(None), torch.dtype, torch.device, torch.layout}
# operations that start no kernel
VIEWS = {"view", "_unsafe_view", "expand", "t", "transpose", "permute", "unsqueeze", "squeeze", "select", "slice", "split",
         "split_with_sizes", "detach", "alias", "as_strided", "unbind", "reshape", "_reshape_alias", "unfold", "diagonal", "lift_fresh",
         "empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "narrow", "view_as_real", "view_as_complex"}


@dataclass
class Counts:
    """What has happened on the device: kernels by operation, and waits of the host and blocking copies by (what, line of the project)."""

    kernels: Counter[str] = field(default_factory=Counter)
    waits: Counter[tuple[str, str]] = field(default_factory=Counter)

    def clear(self) -> None:
        """Begin anew."""
        self.kernels.clear()
        self.waits.clear()


COUNTS = Counts()


def find_line() -> str:
    """Return the innermost line of the project's own code, as file:line."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(ROOT) and not name.startswith(HERE):
            return f"{name.removeprefix(ROOT)}:{frame.f_lineno}"
        frame = frame.f_back      # type: ignore[assignment]
    return "elsewhere"


class Pretended(torch.Tensor):
    """A tensor on the pretended device; `cpu_tensor` holds its numbers."""

    cpu_tensor: torch.Tensor

    @staticmethod
    def __new__(cls, x: torch.Tensor) -> Pretended:
        assert not isinstance(x, Pretended)
        y = torch.Tensor._make_wrapper_subclass(cls, x.size(), strides=x.stride(), storage_offset=x.storage_offset(), dtype=x.dtype,
                                                layout=x.layout, device=CUDA, requires_grad=False)
        y.cpu_tensor = x
        return y

    __torch_function__ = torch._C._disabled_torch_function_impl

    def __repr__(self) -> str:
        return f"Pretended({self.cpu_tensor!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            y = Pretended(self.cpu_tensor.detach().clone())
            y.requires_grad_(self.requires_grad)
            if getattr(self, "_is_param", False):
                y._is_param = True
            memo[id(self)] = y
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RuntimeError("a tensor on a device is pickled")

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {}, _list_tensors(args, kwargs))


def _list_tensors(*nested: Any) -> list[torch.Tensor]:
    """Return the tensors of nested sequences and mappings; torch's own trees, and `isinstance` of a tensor, take several times as long."""
    found: list[torch.Tensor] = []
    for x in nested:
        for part in (x.values() if type(x) is dict else x) if x else ():
            kind = type(part)
            if kind is Pretended:
                found.append(part)
            elif kind in NESTED:
                found += _list_tensors(part)
            elif kind not in PLAIN and isinstance(part, torch.Tensor):
                found.append(part)
    return found


def _unwrap(x: Any) -> Any:
    """Return nested sequences and mappings with the numbers of each tensor."""
    kind = type(x)
    if kind is Pretended:
        return x.cpu_tensor
    if kind is tuple:
        return tuple([_unwrap(part) for part in x])
    if kind is list:
        return [_unwrap(part) for part in x]
    return {n: _unwrap(part) for n, part in x.items()} if kind is dict else x


def _wrap(x: Any) -> Any:
    """Return a tensor, or a sequence with each tensor, on the device."""
    if type(x) in (tuple, list):
        return type(x)([_wrap(part) for part in x])
    return Pretended(x) if type(x) is not Pretended and isinstance(x, torch.Tensor) else x


@dataclass(frozen=True)
class Operation:
    """What is needed of an operation's schema; `written` are the arguments that it changes."""

    name: str
    written: tuple[tuple[int, str], ...]
    out_dtype: bool


_OPERATIONS: dict[Any, Operation] = {}


def _read_operation(func: Any) -> Operation:
    if func not in _OPERATIONS:
        schema = func._schema
        written = tuple((i, a.name) for i, a in enumerate(schema.arguments) if a.alias_info is not None and a.alias_info.is_write)
        name = schema.name.split("::")[1]
        _OPERATIONS[func] = Operation(name, written, name in ("bmm", "mm", "addmm", "baddbmm") and "dtype" in func._overloadname)
    return _OPERATIONS[func]


def compute(func: Any, args: Any, kwargs: dict[str, Any], tensors: list[torch.Tensor]) -> Any:
    """Return an operation's value, after the checks that a GPU would make, and count it; `tensors` are those of the arguments."""
    operation = _read_operation(func)
    name = operation.name
    on_cuda = any(type(x) is Pretended for x in tensors)
    target = kwargs.get("device")
    target = None if target is None else torch.device(target)
    if on_cuda and name not in MIXED and any(type(x) is not Pretended and x.ndim for x in tensors):
        raise RuntimeError(f"Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! ({func}, "
                           f"shapes {[tuple(x.shape) for x in tensors]}, {find_line()})")
    result_on_cuda = on_cuda if target is None else target.type == "cuda"
    if name in MAY_WAIT:
        _count_waits(name, args, kwargs, on_cuda, target)
    if kwargs:
        kwargs = dict(kwargs)
        if target is not None and target.type == "cuda":
            kwargs["device"] = CPU
        if kwargs.get("pin_memory"):
            kwargs["pin_memory"] = False
    if result_on_cuda and name == "empty" and math.prod(args[0]) > BYTES:
        raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {math.prod(args[0])} numbers")
    if operation.out_dtype:      # bfloat16 operands with sums in float32, which only CUDA has
        *operands, dtype = args
        value = getattr(torch, name)(*(x.cpu_tensor.to(dtype) for x in operands))
    else:
        value = func(*_unwrap(args), **_unwrap(kwargs)) if kwargs else func(*_unwrap(args))
    if not result_on_cuda:
        return value
    if name not in VIEWS:
        COUNTS.kernels[name] += 1
    for position, argument in operation.written:      # in place: the same tensor
        x = args[position] if position < len(args) else kwargs.get(argument)
        if isinstance(x, Pretended) and isinstance(value, torch.Tensor):
            return x if x.shape == x.cpu_tensor.shape else Pretended(x.cpu_tensor)
    return _wrap(value)


def _count_waits(name: str, args: Any, kwargs: dict[str, Any], on_cuda: bool, target: torch.device | None) -> None:
    """Count what makes the host wait: numbers read from the device, and copies from memory that is not pinned."""
    what = None
    if on_cuda and name in WAITS:
        what = name
    elif name in ("index", "index_put_", "index_put") and on_cuda:
        indices = _list_tensors(args[1])
        if any(i.dtype in (torch.bool, torch.uint8) for i in indices):
            what = "a boolean index"
        elif any(not isinstance(i, Pretended) and i.ndim for i in indices):
            what = "an index on the CPU"
    elif name == "copy_":
        to, source = args[0], args[1]
        if isinstance(to, Pretended) != isinstance(source, Pretended):
            what = "a copy between devices" if source.ndim or isinstance(source, Pretended) else None
    elif name == "_to_copy" and target is not None:
        if on_cuda and target.type == "cpu":
            what = "to the CPU"
        elif not on_cuda and target.type == "cuda" and not kwargs.get("non_blocking"):
            what = "a blocking copy to the device"
    if what is not None:
        COUNTS.waits[what, find_line()] += 1


class Operations(TorchDispatchMode):
    """Compute on the pretended device what has a tensor there, or is requested there."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False      # to skip torch's compiler, torch would load it first: three seconds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        target, tensors = kwargs.get("device"), _list_tensors(args, kwargs)
        if (target is not None and torch.device(target).type == "cuda") or any(type(x) is Pretended for x in tensors):
            value, out = compute(func, args, kwargs, tensors), kwargs.get("out")
            return out if isinstance(out, Pretended) else value
        return func(*args, **kwargs)


RealGenerator = torch.Generator


class Generator(RealGenerator):
    """A random generator that remembers its device; its numbers are drawn on the CPU."""

    kind: str

    def __new__(cls, device: Any = "cpu") -> Generator:
        y = super().__new__(cls, "cpu")
        y.kind = torch.device(device).type
        return y


class Functions(TorchFunctionMode):
    """Name the device cuda:0 where it is called cuda, since no driver can be queried, and refuse generators of another device."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if not kwargs and name not in SPECIAL:
            return func(*args)
        kwargs = dict(kwargs or {})
        if "device" in kwargs:
            kwargs["device"] = _with_index(kwargs["device"])
        if name == "cuda":
            return args[0].to(CUDA)
        if name == "tolist" and isinstance(args[0], Pretended):      # torch refuses it of subclasses
            return args[0].cpu().tolist()
        if name == "to":
            args = (args[0], *(_with_index(a) for a in args[1:]))
        generator = kwargs.get("generator")
        if isinstance(generator, RealGenerator):
            like = next((a for a in args if isinstance(a, torch.Tensor)), None)
            device = torch.device(kwargs.get("device") or ("cpu" if like is None else like.device))
            if device.type != getattr(generator, "kind", "cpu"):
                raise RuntimeError(f"Expected a '{device.type}' device type for generator but found another ({name}, {find_line()})")
        return func(*args, **kwargs)


def _with_index(x: Any) -> Any:
    return CUDA if x == "cuda" or (isinstance(x, torch.device) and x.type == "cuda") else x
