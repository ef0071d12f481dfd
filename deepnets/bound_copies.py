"""Refuse a module whose deep copies are not networks of their own: they use the original's parameters, or share a state with one another.

A lambda, a closure or a hook is copied by reference: in the copy it still computes with the module that it was written for. Such a copy
would be trained towards something else, without any error.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import combinations
from typing import NoReturn

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves

from deepnets.batched.copies_stack import copy_inputs
from deepnets.batched.state import evaluation_mode
from deepnets.centered.functional import trainable
from deepnets.centered.random_state import save_random_state
from deepnets.losses import Loss
from deepnets.network_factory import copy_module
from deepnets.tasks import Task
from deepnets.tasks.task import Inputs, draw_batch, place_like
from validation.arguments import Misuse

ROWS = 8
# of the copies' movement, relative to the root mean square of theta_0; a readout that is zero would hide what is before it
SIZES = (0.3, 0.0)
ALLOWED = 1e-3          # relative difference of two outputs that count as equal; at least the rounding of the module's dtype

Outputs = list[torch.Tensor]


def refuse_bound_copies(module: nn.Module, task: Task, seed: int, batch_size: int, loss: Loss) -> None:
    """Refuse a module whose deep copies compute with it, or with one another.

    Parameters
    ----------
    module : as the user's function returned it; its parameters and buffers are moved and restored.
    task, seed, batch_size, loss : what it is to be trained on.

    Raises
    ------
    Misuse : a copy keeps the original's parameters; its output depends on them; two copies differ in their outputs; or a tensor shares
        its memory with a parameter, which a copy does not. A module that fails on the task's inputs is left to
        `deepnets.network_check.try_out`.
    """
    if any(is_lazy(p) for p in (*module.parameters(), *module.buffers())) or not trainable(module):
        return
    kind = type(module).__name__
    copies = [copy_module(module) for _ in range(3)]
    own = {p.data_ptr() for p in trainable(module).values() if p.numel() and not p.is_meta}
    for name, p in trainable(copies[0]).items():
        if p.data_ptr() in own:
            raise Misuse(f"network must return a module whose deep copies have parameters of their own, but those of {kind} share {name} "
                         "with it: let __deepcopy__ copy it")
    shared = _find_shared_memory(module)
    restore = save_random_state()
    try:
        for size in SIZES:
            with suppress(Exception):      # which try_out reports, or a value that the module does not accept
                x = _draw_inputs(module, task, seed, batch_size, loss)
                first, second, third, tied = _run_copies(module, copies, x, size, shared, restore)
                break
            restore()
            copies = [copy_module(module) for _ in range(3)]
        else:
            return
    finally:
        restore()
    for m, n in tied:
        _refuse_shared(f"{m}.{n}".lstrip("."), shared[m, n])
    if not _agree(first, second):
        raise Misuse(f"network must return a module whose deep copies compute the same, but copies of {kind} share a generator of random "
                     "numbers or a state, in a closure, a hook or an object that refuses to be copied: keep it as an attribute of the "
                     "module, or draw from torch's own generator")
    if not _agree(first, third):
        raise Misuse(f"network must return a module whose deep copies are networks of their own, but copies of {kind} still use the "
                     "module that the function built: a lambda, a closure, a hook or a class within the function refers to it. Write it as "
                     "a method that uses self, or as a submodule; a hook should use the module that it is called with")


def _draw_inputs(module: nn.Module, task: Task, seed: int, batch_size: int, loss: Loss) -> Inputs:
    x: Inputs = place_like(draw_batch(task, seed, 0, min(ROWS, batch_size), loss)[0], next(iter(trainable(module).values())).real)
    return x


def _run_copies(module: nn.Module, copies: list[nn.Module], x: Inputs, size: float, shared: dict[tuple[str, str], str],
                restore: Callable[[], None]) -> tuple[Outputs, Outputs, Outputs, list[tuple[str, str]]]:
    """Return the outputs of three copies, the third with the module's own parameters and changing buffers elsewhere.

    Last, which of the attributes `shared` a call does not set anew, as spectral_norm does, so that it is harmless.
    """
    for c in copies:
        _move_parameters(c, size)
    before = {(m, n): vars(copies[0].get_submodule(m)).get(n) for m, n in shared}
    restore()
    first = _call(copies[0], x)
    restore()
    second = _call(copies[1], x)
    after = dict(copies[0].named_buffers())
    changing = [b for n, b in module.named_buffers() if n not in after or not torch.equal(b, after[n])]
    with _elsewhere([*trainable(module).values(), *changing]):
        restore()
        third: Outputs = []      # what fails only now uses what has been moved
        with suppress(Exception):
            third = _call(copies[2], x)
    return first, second, third, [(m, n) for (m, n), value in before.items() if vars(copies[0].get_submodule(m)).get(n) is value]


def _call(module: nn.Module, x: Inputs) -> Outputs:
    """Return a module's outputs in the mode in which it is trained and in evaluation mode."""
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")      # they appear in training
        found = module(copy_inputs(x))
        with evaluation_mode(module):
            found = found, module(copy_inputs(x))
    return [f.detach().clone() for f in tree_leaves(found) if isinstance(f, torch.Tensor)]


@torch.no_grad()
def _move_parameters(module: nn.Module, size: float) -> None:
    source = torch.Generator().manual_seed(0)
    for p in trainable(module).values():
        rms = p.abs().double().square().mean().sqrt() or 0.1
        p.data.add_((size * rms * torch.randn(p.shape, generator=source, dtype=torch.float64).to(p.device)).to(p.dtype))


@contextmanager
def _elsewhere(tensors: list[torch.Tensor]) -> Iterator[None]:
    """Move tensors within the context, by factors between 1 and 2, so that what is positive stays so."""
    source = torch.Generator().manual_seed(1)
    values = [(t, t.detach().clone()) for t in tensors]
    try:
        for t, value in values:
            if value.is_floating_point() or value.is_complex():
                factor, by = torch.rand(2, *t.shape, generator=source, dtype=torch.float64).to(t.device)
                t.data.copy_((value * (1 + factor) + 0.1 * by).to(t.dtype))
        yield
    finally:
        for t, value in values:
            t.data.copy_(value)


def _agree(a: Outputs, b: Outputs) -> bool:
    return len(a) == len(b) and all(_agree_in(p, q) for p, q in zip(a, b, strict=True))


def _agree_in(p: torch.Tensor, q: torch.Tensor) -> bool:
    if p.shape != q.shape:
        return False
    if not p.is_floating_point() and not p.is_complex():
        return True      # indices may switch by rounding
    wide = torch.complex128 if p.is_complex() else torch.float64
    allowed = max(ALLOWED, 10 * torch.finfo(p.dtype).eps)
    finite = torch.isfinite(p)
    if not torch.equal(finite, torch.isfinite(q)):
        return False
    p, q = p[finite].to(wide), q[finite].to(wide)
    return bool((p - q).norm() <= allowed * q.norm())


def _find_shared_memory(module: nn.Module) -> dict[tuple[str, str], str]:
    """Return the attributes that share memory with a trainable parameter, (path of the module, attribute), and that parameter's name.

    Raises
    ------
    Misuse : a parameter or a buffer shares memory with a trainable parameter without being it.
    """
    tensors: list[tuple[str | None, str, torch.Tensor]] = [(None, n, t) for n, t in (*module.named_parameters(), *module.named_buffers())]
    tensors += [(path, name, t) for path, m in module.named_modules() for name, value in vars(m).items() if not name.startswith("_")
                for t in tree_leaves(value) if isinstance(t, torch.Tensor)]
    by_storage: dict[int, list[tuple[str | None, str, torch.Tensor]]] = {}
    for entry in tensors:
        if (t := entry[2]).layout == torch.strided and not t.is_meta and t.numel():
            by_storage.setdefault(t.untyped_storage().data_ptr(), []).append(entry)
    names, found = trainable(module), {}
    for entries in by_storage.values():
        for (path, n, t), (other_path, other, q) in combinations(entries, 2):      # those of the module itself come first
            of = next((of for p, of in ((path, n), (other_path, other)) if p is None and of in names), None)
            if t is q or of is None or not _overlap(t, q):
                continue
            if other_path is None:
                _refuse_shared(other if of == n else n, of)
            else:
                found[other_path, other] = of
    return found


def _overlap(a: torch.Tensor, b: torch.Tensor) -> bool:
    def span(t: torch.Tensor) -> tuple[int, int]:
        last = sum((s - 1) * stride for s, stride in zip(t.shape, t.stride(), strict=True))
        return t.data_ptr(), t.data_ptr() + (last + 1) * t.element_size()

    def entries(t: torch.Tensor) -> torch.Tensor:
        offsets = torch.zeros(t.shape, dtype=torch.int64)
        for axis, (s, stride) in enumerate(zip(t.shape, t.stride(), strict=True)):
            offsets = offsets + (torch.arange(s) * stride).reshape(-1, *[1] * (t.ndim - axis - 1))
        return (offsets + int(t.storage_offset())).flatten()

    (start, end), (other_start, other_end) = span(a), span(b)
    if start >= other_end or other_start >= end:
        return False
    return a.dtype != b.dtype or bool(torch.isin(entries(a), entries(b)).any())      # columns of one tensor do not overlap


def _refuse_shared(name: str, parameter: str) -> NoReturn:
    raise Misuse(f"network must tie parameters by assigning the parameter itself, but {name} shares the memory of {parameter} without "
                 "being it, which no copy keeps: assign the parameter (d.weight = c.weight in place of d.weight.data = c.weight.data), or "
                 "compute it in forward")
