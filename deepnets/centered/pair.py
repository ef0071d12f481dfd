"""`Pair`: a tensor as a frozen value and a scaled difference; `propagate`: apply the rule of a torch operation to pairs.

A `Pair` takes the place of a tensor. Every torch operation on it is dispatched to `propagate`, which finds a rule in `RULES` by the
operation's name. The modules ``rules_*`` register the rules; operations without a rule use the fallback (``rules_fallback.py``).
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from validation.arguments import Misuse

Scale = float | torch.Tensor      # gamma; 0-dimensional, if a tensor


class Unsupported(Misuse):
    """An operation through which differences cannot be propagated; the message names it."""


class Operand:
    """An object in the place of a tensor, whose torch operations `propagate` carries out; ``v0`` is its value in the frozen network."""

    __slots__ = ("__weakref__", "scale", "v0")
    __hash__ = object.__hash__
    v0: torch.Tensor
    scale: Scale

    @property
    def shape(self) -> torch.Size:
        """Shape, as of a tensor."""
        return self.v0.shape

    @classmethod
    def __torch_function__(cls, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Propagate through `func`, when torch dispatches to this class."""
        return propagate(func, args, kwargs or {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        attribute = getattr(torch.Tensor, name)
        if callable(attribute):
            return lambda *args, **kwargs: propagate(attribute, (self, *args), kwargs)
        if name in ("T", "mT", "H", "mH"):
            moved = propagate(torch.Tensor.permute if name in "TH" else torch.Tensor.transpose, (self, *_transposition(name, self)), {})
            return propagate(torch.Tensor.conj, (moved,), {}) if name in ("H", "mH") and self.v0.is_complex() else moved
        if name in ("real", "imag"):
            return propagate(getattr(torch, name), (self,), {}) if self.v0.is_complex() or name == "imag" else self
        if name == "data":
            return propagate(torch.Tensor.detach, (self,), {})
        value = getattr(self.v0, name)     # dtype, device, layout and so on
        if isinstance(value, torch.Tensor):
            raise Unsupported(f"x.{name} is a tensor that differences cannot be propagated through")
        return value

    def __len__(self) -> int:
        return len(self.v0)

    def __iter__(self) -> Any:
        return iter(propagate(torch.unbind, (self,), {}))

    def __bool__(self) -> bool:
        raise _unreadable("bool(x)")

    def __float__(self) -> float:
        raise _unreadable("float(x)")

    def __int__(self) -> int:
        raise _unreadable("int(x)")

    def __index__(self) -> int:
        raise _unreadable("int(x)")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise _unreadable("numpy.asarray(x)")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={tuple(self.shape)}, dtype={self.v0.dtype})"


class Pair(Operand):
    """The value ``v0 + scale d`` of a tensor; ``v0`` is its value in the frozen network. Operations on pairs return pairs.

    Attributes
    ----------
    v0 : tensor, any shape and floating dtype.
    d : tensor of the same shape and dtype, the difference divided by `scale`.
    scale : gamma >= 0, a float or a 0-dimensional tensor.
    known : the value ``v0 + scale d`` where an operation gives it more exactly than the sum: a unit that is off is exactly 0.
    base, viewed : the pair of which it is a view, and the function that takes that view of a tensor; None: it is no view.
    views : weak references to its views.
    sealed : whether it shares memory with a pair, but no gradient.
    """

    __slots__ = ("base", "d", "known", "sealed", "viewed", "views")

    def __init__(self, v0: torch.Tensor, d: torch.Tensor, scale: Scale, known: torch.Tensor | None = None) -> None:
        self.v0, self.d, self.scale, self.known = v0, d, scale, known
        self.base: Pair | None = None
        self.viewed: Callable[[torch.Tensor], torch.Tensor] | None = None
        self.views: list[Any] = []
        self.sealed = False

    @property
    def full(self) -> torch.Tensor:
        """``v0 + scale d``, in the working precision."""
        return self.v0 + cast_scale(self.scale, self.v0.dtype) * self.d if self.known is None else self.known

    @property
    def working(self) -> torch.dtype:
        """The dtype of results computed from it."""
        return self.v0.dtype

    @property
    def requires_grad(self) -> bool:
        """Whether the difference requires a gradient."""
        return self.d.requires_grad

    def become(self, other: Pair) -> Pair:
        """Assign the other pair's value to this one alone; `aliases.write` does so for views as well."""
        self.v0, self.d, self.known = other.v0, other.d, other.known
        return self


class Decision(Operand):
    """A mask or an index computed from a pair: it has no difference, but may not be the same in the two networks.

    Attributes
    ----------
    v0, moved : tensors of booleans or integers, in the frozen network (theta_0) and in the moved one (theta_0 + gamma u).
    scale, working : gamma and dtype of the pair it was computed from.
    """

    __slots__ = ("moved", "working")

    def __init__(self, v0: torch.Tensor, moved: torch.Tensor, scale: Scale, working: torch.dtype) -> None:
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


def register_rule(names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function ``rule(func, *args, **kwargs)`` for the operations of these names, separated by spaces.

    `func` is the torch function to be applied, out of place; `args` and `kwargs` are its arguments, of which at least one is a pair.
    """
    def register(rule: Callable[..., Any]) -> Callable[..., Any]:
        RULES.update(dict.fromkeys(names.split(), rule))
        return rule
    return register


def propagate(func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """Return the result of `func` on arguments with pairs, by the rule of its name.

    Raises
    ------
    Unsupported : an operation through which differences cannot be propagated; the message names it.
    """
    name, func, in_place, operator = _resolve(func)
    if kwargs.get("out") is not None:
        raise Unsupported(f"{name}(out=...) writes into a tensor, and differences cannot be propagated through it")
    if "inplace" in kwargs:
        in_place, kwargs = bool(kwargs["inplace"]), kwargs | {"inplace": False}
    rule = RULES.get(name, RULES["fallback"])
    if rule not in (_evaluate_frozen, _refuse_reading, RULES["setitem"]) and find_first((args, kwargs), Decision) is not None:
        rule = RULES["fallback"]        # the other rules assume masks and indices that are the same in both networks
    if not torch.is_grad_enabled():
        _refuse_own_gradient(find_first((args, kwargs)))
    if torch._C._is_any_autocast_enabled():
        device = find_first((args, kwargs), Operand).v0.device.type
        with torch.autocast(device, enabled=False):      # differences keep their precision; see `deepnets.precision` for another
            result = rule(func, *args, **kwargs)
    else:
        result = rule(func, *args, **kwargs)
    if in_place:
        from deepnets.centered.aliases import write_in_place

        return write_in_place(name, args[0] if args else kwargs["input"], result, operator)
    return result


def _refuse_own_gradient(pair: Pair | None) -> None:
    """Raise `Unsupported` within a custom autograd function, whose backward pass a pair would not take."""
    if pair is None or not pair.requires_grad:
        return
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code is torch.autograd.Function.apply.__func__.__code__:      # type: ignore[attr-defined]
            name = getattr(frame.f_locals.get("cls"), "__name__", "a function")
            raise Unsupported(f"{name}.apply is a custom autograd function, and differences cannot be propagated through its backward pass")
        frame = frame.f_back


@functools.lru_cache(maxsize=4096)
def _resolve(func: Callable[..., Any]) -> tuple[str, Callable[..., Any], bool, bool]:
    """Return an operation's name, its out-of-place function, whether it is in-place, and whether that is an operator such as ``+=``."""
    name = getattr(func, "__name__", str(func))
    in_place = operator = False
    if name.startswith("__") and name.endswith("__"):
        name = name[2:-2]
        if name.startswith("i") and hasattr(torch.Tensor, f"__{name[1:]}__"):
            name, in_place, operator = name[1:], True, True
    elif name.endswith("_"):
        name, in_place = name[:-1], True
    name = _OPERATORS.get(name, name)
    if in_place:
        spaces = [space for space in (torch.Tensor, torch, F) if hasattr(space, name)]
        if not spaces and name not in RULES:
            raise Unsupported(f"{name}_ has no out-of-place form, and differences cannot be propagated through it")
        func = getattr(spaces[0], name) if spaces else func
    return name, func, in_place, operator


def cast_scale(scale: Scale, dtype: torch.dtype) -> Scale:
    """Return the scale in `dtype`, so that it does not change the dtype of a tensor it multiplies."""
    return scale.to(dtype) if isinstance(scale, torch.Tensor) else scale


def map_operands(x: Any, of: Callable[[Any], Any]) -> Any:
    """Apply `of` to every operand in nested lists, tuples and dicts of arguments."""
    if isinstance(x, Operand):
        return of(x)
    if type(x) in (list, tuple):
        return type(x)(map_operands(y, of) for y in x)
    if type(x) is dict:
        return {k: map_operands(y, of) for k, y in x.items()}
    return x


def find_first(x: Any, kind: type = Pair) -> Any:
    """Return the first pair, or operand of another kind, among nested arguments; None if there is none."""
    if isinstance(x, kind):
        return x
    if isinstance(x, dict):
        x = tuple(x.values())
    if isinstance(x, list | tuple):
        return next((p for p in (find_first(y, kind) for y in x) if p is not None), None)
    return None


def as_pair(x: Any, like: Pair) -> Pair:
    """Return `x` as a pair; a plain tensor or number has difference zero."""
    if isinstance(x, Pair):
        return x
    value = torch.as_tensor(x, dtype=None if isinstance(x, torch.Tensor) else like.dtype, device=like.device)
    return Pair(value, torch.zeros_like(value), like.scale)


def _transposition(name: str, x: Operand) -> tuple[int, ...]:
    """Return the arguments of `permute` or `transpose` that are equivalent to the property `name`."""
    return tuple(range(x.v0.ndim))[::-1] if name in "TH" else (-2, -1)


def _unreadable(what: str) -> Unsupported:
    return Unsupported(f"{what} reads a tensor's value in the forward pass, and differences cannot be propagated through it")


@register_rule("item tolist numpy array")
def _refuse_reading(func: Any, *args: Any, **kwargs: Any) -> Any:
    raise _unreadable(f"{getattr(func, '__name__', func)}(x)")


@register_rule("size dim numel nelement ndimension stride is_contiguous is_floating_point is_complex element_size get_device "
               "storage_offset len zeros_like ones_like empty_like full_like rand_like randn_like randint_like "
               "new_zeros new_ones new_empty new_full new_tensor is_tensor is_same_size")
def _evaluate_frozen(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Evaluate at the frozen value: the result depends on shape, dtype and device alone."""
    return func(*map_operands(args, lambda p: p.v0), **map_operands(kwargs, lambda p: p.v0))
