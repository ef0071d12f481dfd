"""Read the state that a module holds beside its trainable parameters: numbers, tensors, containers, iterators, generators, own objects."""

from __future__ import annotations

import functools
import hashlib
import random
import types
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

PASSING = "a result of the last call"       # in place of a tensor that has a meaning within one call alone
PLAIN = (bool, int, float, complex, str, bytes, np.generic, torch.dtype, torch.device)
OUTSIDE = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, weakref.ReferenceType)
STRUCTURE = frozenset({*vars(nn.Module()), "_flat_weights"})       # of every module, hooks among it, and of recurrent ones


def read_state(module: nn.Module, passing: tuple[type, ...] = (), tensors: bool = True) -> dict[str, Any]:
    """Return what a module holds, by path: hashable values that are equal as long as the state is.

    Parameters
    ----------
    module : not changed.
    passing : classes of tensors that stand for results of one call; all are equal.
    tensors : False leaves tensors and lengths out.
    """
    return {path: _describe(x, passing) for path, x in _walk(module) if tensors or not (isinstance(x, torch.Tensor | _Length))}


def find_change(before: dict[str, Any], after: dict[str, Any]) -> str | None:
    """Return the path of the first value that is in both states and not the same; None if there is none."""
    return next((path for path, x in before.items() if path in after and PASSING not in (x, after[path]) and after[path] != x), None)


def find_difference(before: dict[str, Any], after: dict[str, Any]) -> str | None:
    """Return the path of the first value that is not the same in both states, or in one of them alone."""
    return next((path for path in (*before, *after) if before.get(path) != after.get(path)), None)


def list_results(module: nn.Module) -> list[torch.Tensor]:
    """Return the tensors among a module's state that have a graph, which `copy.deepcopy` does not copy."""
    return [x for _, x in _walk(module) if isinstance(x, torch.Tensor) and not x.is_leaf]


def replace_passing(module: nn.Module, passing: tuple[type, ...], by: Callable[[], Any]) -> list[str]:
    """Replace the tensors of these classes in a module's state by others, and return their paths."""
    found = []
    for path, holder, key in list(_walk_slots(module)):
        if isinstance(holder[key], passing):
            found.append(path)
            holder[key] = by()
    return found


def list_slots(module: nn.Module) -> list[tuple[Any, Any]]:
    """Return the containers and dictionaries of attributes among a module's state, each with its keys, that can be written to."""
    return [(holder, key) for _, holder, key in _walk_slots(module)]


class _Length(int):
    """The length of a container."""


def _walk(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield what has a value of its own, by path, and the length of each container."""
    for path, x, _ in _visit(module):
        if not isinstance(x, list | tuple | dict | deque):
            yield path, x


def _walk_slots(module: nn.Module) -> Iterator[tuple[str, Any, Any]]:
    """Yield the slots that can be written to: path, container and key."""
    for path, x, attributes in _visit(module):
        if isinstance(x, list | deque | dict):
            for key in (list(x) if isinstance(x, dict) else range(len(x))):
                yield f"{path}.{key}".lstrip(".") if attributes else f"{path}[{key!r}]", x, key


def _visit(module: nn.Module) -> Iterator[tuple[str, Any, bool]]:
    """Yield path, value, and whether the value is a dictionary of attributes, depth first; each object once."""
    members = {id(m) for m in module.modules()}
    seen = {id(p) for p in module.parameters() if p.requires_grad} | members
    alive: list[Any] = []      # what is made on the way; the id of what is gone could be another's

    def visit(path: str, x: Any) -> Iterator[tuple[str, Any, bool]]:
        if x is None or isinstance(x, OUTSIDE):
            return
        if isinstance(x, PLAIN):
            yield path, x, False
            return
        if id(x) in seen:
            return
        seen.add(id(x))
        alive.append(x)
        if isinstance(x, torch.Tensor | np.ndarray | torch.Generator | random.Random | np.random.Generator | np.random.RandomState) or (
                hasattr(type(x), "__torch_function__")):
            yield path, x, False
        elif isinstance(x, nn.Module):
            yield from visit_module(path, x)
        elif isinstance(x, types.MethodType):
            yield from visit(f"{path}.__self__", x.__self__)
        elif isinstance(x, functools.partial):
            yield from visit(f"{path}.args", [x.func, x.args, x.keywords])
        elif isinstance(x, set | frozenset):
            yield path, repr(sorted(map(repr, x))), False
        elif isinstance(x, list | tuple | deque | dict):
            yield from visit_items(path, x)
            yield from visit_attributes(path, getattr(x, "__dict__", {}))
        else:
            yield from visit_object(path, x)

    def visit_items(path: str, x: Any) -> Iterator[tuple[str, Any, bool]]:
        yield path, x, False
        yield f"{path}'s length", _Length(len(x)), False
        for key, item in list(x.items() if isinstance(x, dict) else enumerate(x)):
            yield from visit(f"{path}[{key!r}]", item)

    def visit_attributes(path: str, own: dict[str, Any]) -> Iterator[tuple[str, Any, bool]]:
        yield path, own, True
        for name, item in list(own.items()):
            yield from visit(f"{path}.{name}".lstrip("."), item)

    def visit_module(path: str, m: nn.Module) -> Iterator[tuple[str, Any, bool]]:
        for slots in (vars(m).get("_parameters", {}), vars(m).get("_buffers", {})):
            for name, item in list(slots.items()) if isinstance(slots, dict) else ():
                yield from visit(f"{path}.{name}".lstrip("."), item)
        if isinstance(m, torch.jit.ScriptModule):
            return
        yield path, vars(m), True
        for name, item in list(vars(m).items()):
            if name not in STRUCTURE and item is not None:
                where = f"{path}.{name}" if path else name
                if isinstance(item, PLAIN):
                    yield where, item, False
                else:
                    yield from visit(where, item)
        if id(m) not in members:
            for name, item in list(m._modules.items()):
                yield from visit(f"{path}.{name}".lstrip("."), item)

    def visit_object(path: str, x: Any) -> Iterator[tuple[str, Any, bool]]:
        slots = {n: getattr(x, n) for c in type(x).__mro__ for n in _list_slots(c) if hasattr(x, n)}
        if hasattr(x, "__dict__") or slots:
            yield from visit_attributes(path, getattr(x, "__dict__", {}))
            for name, item in slots.items():
                yield from visit(f"{path}.{name}", item)
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")      # some iterators will lose it
                parts = x.__reduce_ex__(4)
        except Exception:      # neither can it be copied
            return
        yield from visit(path, list(parts) if isinstance(parts, tuple) else parts)

    for prefix, m in module.named_modules():
        yield from visit_module(prefix, m)


def _list_slots(c: type) -> list[str]:
    own = vars(c).get("__slots__", ())
    return [n for n in ([own] if isinstance(own, str) else own) if n not in ("__dict__", "__weakref__")]


def _describe(x: Any, passing: tuple[type, ...]) -> Any:
    """Return a hashable value that is equal for equal x."""
    if isinstance(x, passing):
        return PASSING
    if isinstance(x, torch.Tensor):
        return _describe_tensor(x)
    if isinstance(x, np.ndarray):
        return x.shape, str(x.dtype), _hash(np.ascontiguousarray(x).tobytes() if x.dtype != object else repr(x).encode())
    if isinstance(x, torch.Generator):
        return _hash(x.get_state().numpy().tobytes())
    if isinstance(x, random.Random):
        return _hash(repr(x.getstate()).encode())
    if isinstance(x, np.random.Generator):
        return _hash(repr(x.bit_generator.state).encode())
    if isinstance(x, np.random.RandomState):
        with np.printoptions(threshold=10**6):
            return _hash(repr(x.get_state(legacy=False)).encode())
    return type(x).__name__, repr(x) if isinstance(x, PLAIN) else id(x)      # by their text, NaNs are equal


def _describe_tensor(x: torch.Tensor) -> Any:
    if torch._C._functorch.is_functorch_wrapped_tensor(x):
        return PASSING
    try:
        if x.is_meta:
            return x.shape, x.dtype
        data = x.detach().resolve_conj().cpu().contiguous().flatten().view(torch.uint8)
        return x.shape, x.dtype, _hash(data.numpy().data)
    except Exception:      # sparse, or of a class without data
        return id(x), x._version


def _hash(data: Any) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
