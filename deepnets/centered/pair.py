"""Pair: a tensor as its frozen value and its scaled difference, and who is asked what an operation does to it; knows no network.

A `Pair` stands in the place of a tensor: whatever torch is asked to do with it comes to `propagate`, which looks up a rule by the
operation's name. Rules live in the other rooms of this folder; an operation without one is differenced in float64 (otherwise.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from validation.arguments import Misuse


class Unsupported(Misuse):
    """An operation through which differences cannot be propagated; the message names it."""


class Operand:
    """What stands in the place of a tensor: torch asks it what to do, and `propagate` answers. It holds its frozen value, ``v0``."""

    __slots__ = ("__weakref__", "scale", "v0")
    __hash__ = object.__hash__
    v0: torch.Tensor
    scale: Any

    @property
    def shape(self) -> torch.Size:
        """As of a tensor."""
        return self.v0.shape

    @classmethod
    def __torch_function__(cls, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Answer for torch: propagate through `func`."""
        return propagate(func, args, kwargs or {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        attribute = getattr(torch.Tensor, name)
        if callable(attribute):
            return lambda *args, **kwargs: propagate(attribute, (self, *args), kwargs)
        if name in ("T", "mT", "H", "mH"):
            return propagate(torch.Tensor.permute if name in "TH" else torch.Tensor.transpose, (self, *_reversing(name, self)), {})
        return getattr(self.v0, name)     # dtype, device, layout and so on

    def __len__(self) -> int:
        return len(self.v0)

    def __iter__(self) -> Any:
        return iter(propagate(torch.unbind, (self,), {}))

    def __bool__(self) -> bool:
        raise _read("bool(x)")

    def __float__(self) -> float:
        raise _read("float(x)")

    def __int__(self) -> int:
        raise _read("int(x)")

    def __index__(self) -> int:
        raise _read("int(x)")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise _read("numpy.asarray(x)")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={tuple(self.shape)}, dtype={self.v0.dtype})"


class Pair(Operand):
    """The value ``v0 + scale d`` of a tensor, ``v0`` its value in the frozen network; every operation on it gives another.

    Attributes
    ----------
    v0 : tensor, any shape and floating dtype.
    d : tensor of the same shape and dtype, the difference divided by `scale`.
    scale : gamma >= 0, a float or a 0-dimensional tensor.
    known : the value ``v0 + scale d``, where an operation knows it better than the sum does: a unit that is off is exactly 0.
    """

    __slots__ = ("d", "known")

    def __init__(self, v0: torch.Tensor, d: torch.Tensor, scale: Any, known: torch.Tensor | None = None) -> None:
        self.v0, self.d, self.scale, self.known = v0, d, scale, known

    @property
    def full(self) -> torch.Tensor:
        """``v0 + scale d``, in the working precision."""
        return self.v0 + within(self.scale, self.v0.dtype) * self.d if self.known is None else self.known

    @property
    def working(self) -> torch.dtype:
        """The dtype of what is made from it."""
        return self.v0.dtype

    @property
    def requires_grad(self) -> bool:
        """As of a tensor: whether the difference is differentiated."""
        return self.d.requires_grad

    def become(self, other: Pair) -> Pair:
        """Take the other's value, as an in-place operation does."""
        self.v0, self.d, self.known = other.v0, other.d, other.known
        return self


class Decided(Operand):
    """What an operation read off a pair that has no difference: a mask, an index. The two networks may have decided differently.

    Attributes
    ----------
    v0, moved : tensors of booleans or integers, of the frozen network and of the moved one.
    scale, working : of the pair it was read off, its gamma and its dtype.
    """

    __slots__ = ("moved", "working")

    def __init__(self, v0: torch.Tensor, moved: torch.Tensor, scale: Any, working: torch.dtype) -> None:
        self.v0, self.moved, self.scale, self.working = v0, moved, scale, working


def _operator(name: str) -> Callable[..., Any]:
    return lambda *args: propagate(getattr(torch.Tensor, name), args, {})


for _name in ("add", "radd", "iadd", "sub", "rsub", "isub", "mul", "rmul", "imul", "truediv", "rtruediv", "itruediv", "pow", "rpow",
              "matmul", "rmatmul", "neg", "pos", "abs", "getitem", "setitem", "and", "or", "xor", "invert",
              "lt", "le", "gt", "ge", "eq", "ne", "mod", "floordiv"):
    if hasattr(torch.Tensor, f"__{_name}__"):
        setattr(Operand, f"__{_name}__", _operator(f"__{_name}__"))

RULES: dict[str, Callable[..., Any]] = {}
_OPERATORS = {"truediv": "div", "multiply": "mul", "subtract": "sub", "true_divide": "div", "divide": "div"}


def rule(names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register ``rule(func, *args, **kwargs)`` for operations of these names, separated by spaces."""
    def register(made: Callable[..., Any]) -> Callable[..., Any]:
        RULES.update(dict.fromkeys(names.split(), made))
        return made
    return register


def propagate(func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """Return what `func` does to its pairs.

    Raises
    ------
    Unsupported : naming the operation.
    """
    name, func, in_place = _spelled(func)
    if kwargs.get("out") is not None:
        raise Unsupported(f"{name}(out=...) writes into a tensor, and differences cannot be propagated through it")
    if "inplace" in kwargs:
        in_place, kwargs = bool(kwargs["inplace"]), kwargs | {"inplace": False}
    made = RULES.get(name, RULES["otherwise"])
    if made not in (_of_the_frozen, _refuse_reading) and first((args, kwargs), Decided) is not None:
        made = RULES["otherwise"]        # rules take masks and indices to be the same in both networks
    result = made(func, *args, **kwargs)
    if in_place:
        target = args[0] if args else kwargs["input"]
        return target.become(result) if isinstance(target, Pair) else result
    return result


@functools.lru_cache(maxsize=4096)
def _spelled(func: Callable[..., Any]) -> tuple[str, Callable[..., Any], bool]:
    """Return an operation's name, the function that does it out of place, and whether it was asked for in place."""
    name = getattr(func, "__name__", str(func))
    in_place = False
    if name.startswith("__") and name.endswith("__"):
        name = name[2:-2]
        if name.startswith("i") and hasattr(torch.Tensor, f"__{name[1:]}__"):
            name, in_place = name[1:], True
    elif name.endswith("_"):
        name, in_place = name[:-1], True
    name = _OPERATORS.get(name, name)
    if in_place:
        spaces = [space for space in (torch.Tensor, torch, F) if hasattr(space, name)]
        if not spaces:
            raise Unsupported(f"{name}_ has no form that leaves its argument alone, and differences cannot be propagated through it")
        func = getattr(spaces[0], name)
    return name, func, in_place


def within(scale: Any, dtype: torch.dtype) -> Any:
    """Return the scale as a number that does not change the dtype of what it multiplies."""
    return scale.to(dtype) if isinstance(scale, torch.Tensor) else scale


def each(x: Any, of: Callable[[Any], Any]) -> Any:
    """Return nested lists, tuples and dicts of arguments with `of` applied to every pair and every decision."""
    if isinstance(x, Operand):
        return of(x)
    if type(x) in (list, tuple):
        return type(x)(each(y, of) for y in x)
    if type(x) is dict:
        return {k: each(y, of) for k, y in x.items()}
    return x


def first(x: Any, kind: type = Pair) -> Any:
    """Return the first pair, or operand of another kind, among nested arguments; None if there is none."""
    if isinstance(x, kind):
        return x
    if isinstance(x, dict):
        x = tuple(x.values())
    if isinstance(x, list | tuple):
        return next((p for p in (first(y, kind) for y in x) if p is not None), None)
    return None


def lifted(x: Any, like: Pair) -> Pair:
    """Return `x` as a pair: a plain tensor or number is one that does not differ."""
    if isinstance(x, Pair):
        return x
    value = torch.as_tensor(x, dtype=None if isinstance(x, torch.Tensor) else like.dtype, device=like.device)
    return Pair(value, torch.zeros_like(value), like.scale)


def _reversing(name: str, x: Operand) -> tuple[int, ...]:
    """Return the arguments by which `permute` or `transpose` does what the property `name` does."""
    return tuple(range(x.v0.ndim))[::-1] if name in "TH" else (-2, -1)


def _read(what: str) -> Unsupported:
    return Unsupported(f"{what} reads a tensor's value in the forward pass, and differences cannot be propagated through it")


@rule("item tolist numpy array")
def _refuse_reading(func: Any, *args: Any, **kwargs: Any) -> Any:
    raise _read(f"{getattr(func, '__name__', func)}(x)")


@rule("size dim numel nelement ndimension stride is_contiguous is_floating_point is_complex element_size get_device storage_offset len "
      "zeros_like ones_like empty_like full_like rand_like randn_like randint_like new_zeros new_ones new_empty new_full new_tensor "
      "is_tensor is_same_size")
def _of_the_frozen(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Answer what depends on shape, dtype and device alone."""
    return func(*each(args, lambda p: p.v0), **each(kwargs, lambda p: p.v0))
