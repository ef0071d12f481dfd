"""Write into a pair in place: its base, where it is a view, and the other views of that base change with it.

A pair made by a view of another (`h[:, :8]`, `h.view(-1)`) keeps its base and the function that takes the view. A write replaces the
entries of the base that it covers, and takes the base's other views afresh.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch

from deepnets.centered.pair import Decision, Pair, Unsupported, as_pair, map_operands

RESHAPED = frozenset({"unsqueeze", "squeeze", "t", "transpose", "swapaxes", "swapdims"})      # in place, they change no entry
DETACHED = frozenset({"detach", "data"})      # a write into these changes the value, but not the gradient


def record_views(func: Callable[..., Any], args: Any, kwargs: Any, source: Pair, results: Pair | list[Pair] | tuple[Pair, ...]) -> None:
    """Record which results of ``func(*args, **kwargs)`` are views of the pair `source`, one of its arguments."""
    several = isinstance(results, list | tuple)
    for i, result in enumerate(results if several else [results]):      # type: ignore[arg-type]
        if result is source or _storage(result.v0) != _storage(source.v0):
            continue

        def view(t: torch.Tensor, i: int = i) -> torch.Tensor:
            taken = t if source.viewed is None else source.viewed(t)
            taken = func(*map_operands(args, lambda p: taken if p is source else p.v0),
                         **map_operands(kwargs, lambda p: taken if p is source else p.v0))
            return taken[i] if several else taken

        result.base, result.viewed = _root(source), view
        result.sealed = source.sealed or getattr(func, "__name__", "") in DETACHED
        result.base.views.append(weakref.ref(result))


def _root(x: Pair) -> Pair:
    return x if x.base is None else x.base


def _storage(x: torch.Tensor) -> Any:
    """Return what identifies the memory of a tensor, also within transforms; None where it has none."""
    while torch._C._functorch.is_functorch_wrapped_tensor(x):
        x = torch._C._functorch.get_unwrapped(x)
    try:
        return x.untyped_storage()._cdata
    except (NotImplementedError, RuntimeError):
        return x


def write_in_place(name: str, target: Any, value: Any, operator: bool) -> Any:
    """Assign an operation's value to its first argument and return it.

    Parameters
    ----------
    name : of the operation.
    target : its first argument.
    value : the result of its out-of-place form.
    operator : whether it is an assignment such as ``x += y``, which also binds the name x to the result.

    Raises
    ------
    Unsupported : the target is a plain tensor, or an alias through which gradients do not pass.
    """
    if isinstance(target, Pair) and isinstance(value, Pair):
        if target.shape != value.shape or name in RESHAPED:
            if target.base is not None or any(alias() is not value and alias() is not None for alias in target.views):
                raise Unsupported(f"{name}_ changes the shape of a tensor of which there are views, and differences cannot be propagated "
                                  "through it")
            target.views.clear()
            return target.become(value)
        return write(target, value)
    if operator and isinstance(target, torch.Tensor) and not _has_views(target):
        return value
    kind = "a mask or an index" if isinstance(target, Decision) else "a plain tensor"
    raise Unsupported(f"{name}_ writes a pair into {kind}, and differences cannot be propagated through it")


def write(target: Pair, value: Pair) -> Pair:
    """Assign a pair's value to another of its shape, as a write into memory does."""
    if target.sealed:
        raise Unsupported("a write into a detached alias of a tensor (x.detach(), x.data) changes its value but not its gradient, and "
                          "differences cannot be propagated through it")
    root, dtype = _root(target), target.v0.dtype
    if value.v0.dtype != dtype:
        value = Pair(value.v0.to(dtype), value.d.to(dtype), value.scale)
    if target.viewed is not None:
        covered = target.viewed(torch.arange(root.v0.numel(), device=root.v0.device).reshape(root.shape)).long().reshape(-1)
        root.become(Pair(_replace(root.v0, covered, value.v0), _replace(root.d, covered, value.d), root.scale))
    target.become(value)
    for alias in root.views:
        other = alias()
        if other is not None and other is not target:
            other.become(Pair(other.viewed(root.v0), other.viewed(root.d), root.scale))      # type: ignore[misc]
    return target


def _replace(whole: torch.Tensor, covered: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
    """Return a tensor whose entries at flat indices (n,) are those of `part`."""
    return whole.reshape(-1).index_copy(0, covered, part.reshape(-1)).reshape(whole.shape)


def _has_views(x: torch.Tensor) -> bool:
    """Return whether a plain tensor shares its memory: with another, an assignment ``x += y`` would change that too."""
    while torch._C._functorch.is_functorch_wrapped_tensor(x):
        x = torch._C._functorch.get_unwrapped(x)
    return x._is_view() or torch._C._storage_Use_Count(x.untyped_storage()._cdata) > 2      # the tensor's own, and the object here


def set_item(target: Pair, index: Any, value: Any) -> None:
    """Carry out ``target[index] = value``."""
    value = as_pair(value, target)
    v0, d = target.v0.clone(), target.d.clone()
    v0[index], d[index] = value.v0, value.d
    write(target, Pair(v0, d, target.scale))


def with_item(t: torch.Tensor, index: Any, value: Any) -> torch.Tensor:
    """Return a copy of a tensor after ``t[index] = value``."""
    single = not isinstance(value, torch.Tensor) or value.numel() == 1
    if isinstance(index, torch.Tensor) and index.dtype == torch.bool and single:
        mask = index.reshape(*index.shape, *[1] * (t.ndim - index.ndim))
        return torch.where(mask, value.reshape(()).to(t.dtype) if isinstance(value, torch.Tensor) else value, t)
    t = t.clone()
    t[index] = value
    return t
