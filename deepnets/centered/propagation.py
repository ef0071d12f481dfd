"""Evaluate ``f~ = (f(theta_0 + gamma u) - f(theta_0))/gamma`` as a pure function of (module, u, gamma, inputs): by pairs or two copies.

The module holds theta_0 and is not changed; its running statistics are returned, not written.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from deepnets.centered import Operand, Pair, Unsupported
from deepnets.centered.einops_backend import register_backend
from deepnets.centered.functional import statistics, substitute
from deepnets.centered.random_state import save_random_state
from deepnets.centered.widening import Widening
from deepnets.module_state import find_change, read_state

LEAST_STEP = 1e-8     # of float64 copies: below it, subtraction loses more than the linearised network is off by


def propagate_pairs(module: nn.Module, u: Mapping[str, Any], gamma: float | torch.Tensor, inputs: tuple[Any, ...] = (),
                    kwargs: Mapping[str, Any] | None = None, drift: Mapping[str, torch.Tensor] | None = None,
                    centred: bool = True) -> tuple[Any, dict[str, Pair]]:
    """Return f~ by difference propagation, without cancellation at any gamma >= 0.

    Parameters
    ----------
    module : holds theta_0.
    u : ``(theta - theta_0)/gamma``, by the module's parameter names; parameters not named stay frozen. Those of complex parameters are
        complex, or real with a last dim of real and imaginary part.
    gamma : >= 0, a float or a 0-dimensional tensor (under `vmap` each run may have its own).
    inputs, kwargs : arguments of the module.
    drift : the scaled differences of the running statistics, by buffer name; None: zero.
    centred : False returns f/gamma in place of f~.

    Returns
    -------
    The module's output with every tensor replaced by its f~, and the running statistics after the call, by buffer name.

    Raises
    ------
    Unsupported : an operation that differences cannot be propagated through; the message names it.
    """
    register_backend()
    parameters = dict(module.named_parameters())
    values: dict[str, Any] = {n: Pair(parameters[n].detach(), as_complex(d, parameters[n]), gamma) for n, d in u.items()}
    buffers = dict(module.named_buffers())
    moving = {n: Pair(buffers[n], drift[n] if drift else torch.zeros_like(buffers[n]), gamma) for n in statistics(module)}
    counted = {n: b.clone() for n, b in buffers.items() if n not in moving}
    state = _list_numbers(module)
    with substitute(module, values | moving | counted):
        output = module(*inputs, **(kwargs or {}))
    _refuse_own_state(module, buffers, counted, state)
    return tree_map(_difference if centred else lambda x: _quotient(x, gamma), output), moving


def as_complex(d: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """Return a parameter's u as it is added to it: complex, if the parameter is."""
    return torch.view_as_complex(d) if parameter.is_complex() and not d.is_complex() else d


def _list_numbers(module: nn.Module) -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    """Return the numbers among the attributes of submodules, by module and attribute, and all else but tensors that the module holds.

    Both are empty within transforms, which are slow enough.
    """
    if torch._C._are_functorch_transforms_active() or torch.compiler.is_compiling():
        return {}, {}
    return ({(prefix, n): x for prefix, m in module.named_modules() for n, x in vars(m).items()
             if isinstance(x, int | float) and n != "training"}, read_state(module, (Operand,), tensors=False))


def _refuse_own_state(module: nn.Module, before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor], state: Any) -> None:
    """Raise `Unsupported` if a module has moved a buffer or a state of its own in a call: its two networks have one of them each."""
    (numbers, others), (now, others_now) = state, _list_numbers(module)
    if numbers != now:
        changed = next(k for k in (*numbers, *now) if numbers.get(k) != now.get(k))
        raise Unsupported(f"{'.'.join(filter(None, changed))} is a number that the network changes as it is called, and differences cannot "
                          "be propagated through it")
    if name := find_change(others, others_now):
        raise Unsupported(f"{name} is a state that the network changes as it is called, and differences cannot be propagated through it")
    for name, buffer in after.items():
        if name.endswith("num_batches_tracked"):
            continue
        if buffer._version or not (buffer.is_meta or torch._C._are_functorch_transforms_active() or _is_equal(buffer, before[name])):
            raise Unsupported(f"{name} is a buffer that the network changes as it is called, and differences cannot be propagated "
                              "through it")


def _is_equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Return whether a buffer still has its values."""
    return type(a) is not torch.Tensor or torch.compiler.is_compiling() or torch.equal(a, b) or bool(((a == b) | (a != a)).all())


def _difference(x: Any) -> Any:
    """Return an output's f~: zero where it does not depend on u; indices and masks are those of the moved network."""
    if isinstance(x, Operand):
        return x.d if isinstance(x, Pair) else x.moved     # type: ignore[attr-defined]
    return torch.zeros_like(x) if isinstance(x, torch.Tensor) and x.is_floating_point() else x


def _quotient(x: Any, gamma: float | torch.Tensor) -> Any:
    """Return an output's f/gamma."""
    if isinstance(x, Pair):
        return x.d + x.v0 / gamma
    return x / gamma if isinstance(x, torch.Tensor) and x.is_floating_point() else _difference(x)


def subtract_copies(module: nn.Module, u: Mapping[str, Any], gamma: float, inputs: tuple[Any, ...] = (),
                    kwargs: Mapping[str, Any] | None = None, drift: Mapping[str, torch.Tensor] | None = None,
                    dtype: torch.dtype | None = None) -> tuple[Any, dict[str, Pair]]:
    """Return f~ by evaluating two copies in `dtype` and subtracting them; both draw the same random numbers.

    Arguments and result as of `propagate_pairs`; `dtype` None is the module's own. In float64, gammas below 1e-8 (and 0) are
    replaced by 1e-8, which is more exact than the subtraction at the smaller gamma.
    """
    buffers = dict(module.named_buffers())
    own = next(iter(u.values())).dtype if u else torch.get_default_dtype()
    own = own.to_real()
    moving = statistics(module)
    drift = drift or {n: torch.zeros_like(buffers[n]) for n in moving}

    def cast(x: Any) -> Any:
        if dtype is None or not isinstance(x, torch.Tensor):
            return x
        return x.to(dtype) if x.is_floating_point() else x.to(dtype.to_complex()) if x.is_complex() else x

    theta = {n: cast(p.detach()) for n, p in module.named_parameters()}
    u = {n: as_complex(cast(d), theta[n]) for n, d in u.items()}
    arguments, named = tree_map(cast, tuple(inputs)), tree_map(cast, dict(kwargs or {}))
    state = _list_numbers(module)
    left: dict[bool, Any] = {}

    def evaluate(parameters: Mapping[str, Any], scale: float) -> Any:
        mine = {n: (cast(b) + scale * cast(drift[n]) if n in drift else cast(b).clone()) for n, b in buffers.items()}
        counted = {n: b for n, b in mine.items() if n not in drift}
        before = {n: b.clone() for n, b in counted.items()}
        with substitute(module, theta | dict(parameters) | mine), Widening(own) if dtype == torch.float64 else nullcontext():
            output = module(*arguments, **named)
        _refuse_own_state(module, before, counted, state)
        left[scale != 0] = {n: mine[n].detach() for n in moving}
        return output

    step = max(gamma, LEAST_STEP) if dtype == torch.float64 else gamma
    rewind = save_random_state()
    frozen = evaluate({n: theta[n] for n in u}, 0.0)
    rewind()
    moved = evaluate({n: theta[n] + step * d for n, d in u.items()}, step)
    output = tree_map(lambda a, b: ((a - b) / step).to(own) if isinstance(a, torch.Tensor) and a.is_floating_point() else a, moved, frozen)
    return output, {n: Pair(left[False][n].to(buffers[n].dtype), ((left[True][n] - left[False][n]) / step).to(buffers[n].dtype), gamma)
                    for n in moving}
