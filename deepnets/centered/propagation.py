"""Evaluate ``f~ = (f(theta_0 + gamma u) - f(theta_0))/gamma`` as a pure function of (module, u, gamma, inputs): by pairs or two copies.

The module holds theta_0 and is not changed; its running statistics are returned, not written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from deepnets.centered import Operand, Pair
from deepnets.centered.functional import statistics, substitute

LEAST_STEP = 1e-8     # of float64 copies: below it, subtraction loses more than the linearised network is off by


def propagate_pairs(module: nn.Module, u: Mapping[str, Any], gamma: float | torch.Tensor, inputs: tuple[Any, ...] = (),
                    kwargs: Mapping[str, Any] | None = None,
                    drift: Mapping[str, torch.Tensor] | None = None) -> tuple[Any, dict[str, Pair]]:
    """Return f~ by difference propagation, without cancellation at any gamma >= 0.

    Parameters
    ----------
    module : holds theta_0.
    u : ``(theta - theta_0)/gamma``, by the module's parameter names; parameters not named stay frozen.
    gamma : >= 0, a float or a 0-dimensional tensor (under `vmap` each run may have its own).
    inputs, kwargs : arguments of the module.
    drift : the scaled differences of the running statistics, by buffer name; None: zero.

    Returns
    -------
    The module's output with every tensor replaced by its f~, and the running statistics after the call, by buffer name.

    Raises
    ------
    Unsupported : an operation that differences cannot be propagated through; the message names it.
    """
    parameters = dict(module.named_parameters())
    values: dict[str, Any] = {n: Pair(parameters[n].detach(), d, gamma) for n, d in u.items()}
    buffers = dict(module.named_buffers())
    moving = {n: Pair(buffers[n], drift[n] if drift else torch.zeros_like(buffers[n]), gamma) for n in statistics(module)}
    counted = {n: b.clone() for n, b in buffers.items() if n not in moving}
    with substitute(module, values | moving | counted):
        output = module(*inputs, **(kwargs or {}))
    return tree_map(_difference, output), moving


def _difference(x: Any) -> Any:
    """Return an output's f~: zero where it does not depend on u; indices and masks are those of the moved network."""
    if isinstance(x, Operand):
        return x.d if isinstance(x, Pair) else x.moved     # type: ignore[attr-defined]
    return torch.zeros_like(x) if isinstance(x, torch.Tensor) and x.is_floating_point() else x


def subtract_copies(module: nn.Module, u: Mapping[str, Any], gamma: float, inputs: tuple[Any, ...] = (),
                    kwargs: Mapping[str, Any] | None = None, drift: Mapping[str, torch.Tensor] | None = None,
                    dtype: torch.dtype | None = None) -> tuple[Any, dict[str, Pair]]:
    """Return f~ by evaluating two copies in `dtype` and subtracting them; both draw the same random numbers.

    Arguments and result as of `propagate_pairs`; `dtype` None is the module's own. In float64, gammas below 1e-8 (and 0) are
    replaced by 1e-8, which is more exact than the subtraction at the smaller gamma.
    """
    buffers = dict(module.named_buffers())
    own = next(iter(u.values())).dtype if u else torch.get_default_dtype()
    moving = statistics(module)
    drift = drift or {n: torch.zeros_like(buffers[n]) for n in moving}

    def cast(x: Any) -> Any:
        return x.to(dtype) if dtype and isinstance(x, torch.Tensor) and x.is_floating_point() else x

    theta = {n: cast(p.detach()) for n, p in module.named_parameters()}
    u = {n: cast(d) for n, d in u.items()}
    arguments, named = tree_map(cast, tuple(inputs)), tree_map(cast, dict(kwargs or {}))
    left: dict[bool, Any] = {}

    def evaluate(parameters: Mapping[str, Any], scale: float) -> Any:
        mine = {n: (cast(b) + scale * cast(drift[n]) if n in drift else cast(b).clone()) for n, b in buffers.items()}
        with substitute(module, theta | dict(parameters) | mine), _default_dtype(dtype):
            output = module(*arguments, **named)
        left[scale != 0] = {n: mine[n].detach() for n in moving}
        return output

    step = max(gamma, LEAST_STEP) if dtype == torch.float64 else gamma
    rewind = _save_random_state()
    frozen = evaluate({n: theta[n] for n in u}, 0.0)
    rewind()
    moved = evaluate({n: theta[n] + step * d for n, d in u.items()}, step)
    output = tree_map(lambda a, b: ((a - b) / step).to(own) if isinstance(a, torch.Tensor) and a.is_floating_point() else a, moved, frozen)
    return output, {n: Pair(left[False][n].to(buffers[n].dtype), ((left[True][n] - left[False][n]) / step).to(buffers[n].dtype), gamma)
                    for n in moving}


@contextmanager
def _default_dtype(dtype: torch.dtype | None) -> Iterator[None]:
    """Set torch's default dtype, for tensors that the module creates itself."""
    before = torch.get_default_dtype()
    try:
        if dtype is not None:
            torch.set_default_dtype(dtype)
        yield
    finally:
        torch.set_default_dtype(before)


def _save_random_state() -> Callable[[], None]:
    """Return a function that restores the present state of the random generators."""
    cpu = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else None

    def rewind() -> None:
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
    return rewind

