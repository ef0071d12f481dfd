"""Compare the stack that is to train a network with float64 copies, in value and gradient, before the first step.

Two steps are taken at random u, so that a state that the network moves itself shows, and one evaluation. Gammas are 1e-6, where pairs and
copies are most unlike, and 1, where the network is far from linear.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_map

from deepnets.batched.copies_stack import CopiesStack, widen
from deepnets.batched.stack import Stack
from deepnets.batched.state import Parameters, reference_tensor, zero_differences
from deepnets.batched.vmap_stack import VectorisedStack
from deepnets.centered.functional import trainable
from deepnets.centered.random_state import save_random_state, seed_torch
from deepnets.tasks.task import Inputs

GAMMAS = (1e-6, 1e-6, 1.0, 1.0)
# Relative errors allowed. A wrong rule is off by order one; rounding of 1e-7 (1e-16) grows by the number of operations and their
# condition, at most ten thousandfold in a network that can be trained in float32 at all.
ALLOWED = {torch.float32: 1e-3, torch.float64: 1e-5}
# Up to this, an error in float32 may be rounding that switched a unit or an index near its kink. Then pairs must pass in float64.
SWITCHED = 0.1
SMALL_PART = 0.1      # of the whole gradient: the share that is added to a parameter's own when its error is judged
MOVED = 0.3           # theta - theta_0 at gamma = 1, relative to theta_0
STEP = 1e-3           # of the finite difference, which is off by its square and by 1e-7/STEP where the network rounds to float32
SETTLED = 1e-2


class Projection:
    """The linear loss ``sum(f y)``: its gradient does not depend on f, so that an error of the value does not hide in that of the gradient.

    Attributes
    ----------
    sizes : the norms of the outputs seen.
    closed_form : as of `deepnets.losses.Loss`.
    """

    name = "projection"

    def __init__(self, closed_form: bool) -> None:
        self.sizes: list[float] = []
        self.closed_form = closed_form

    def value(self, f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the loss, (...); f (..., *y.shape)."""
        if f.ndim == y.ndim and not torch._C._are_functorch_transforms_active():
            self.sizes.append(float(f.norm()))
        return (f * y).sum(tuple(range(-y.ndim, 0)))

    def slope(self, f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return its derivative in f."""
        return y.expand_as(f).clone()


def find_disagreement(stack: Stack, module: nn.Module, batches: list[Inputs], out_shape: tuple[int, ...],
                      centred: bool = True, closed_form: bool = True) -> str | None:
    """Return how a stack disagrees with float64 copies, as words; None if it agrees.

    A disagreement in the value at the small gamma alone is settled by a finite difference: there, copies are wrong if the module rounds to
    float32 in a place that `deepnets.centered.widening` does not reach.

    Parameters
    ----------
    stack : of pairs, as it will train.
    module : holds theta_0, in the mode in which it is to be trained.
    batches : inputs of two steps, in the module's dtype.
    out_shape : of the module's output for one of them.
    centred : as of the stack.
    closed_form : as of the loss that is to be trained on: the stack differentiates it so.
    """
    like = reference_tensor(module)
    dtype, copies = like.dtype, CopiesStack(module, centred, like.dtype)
    y = torch.from_numpy(np.random.default_rng(1).standard_normal(out_shape)).to(like.device)
    restore = save_random_state()
    try:
        for size in (MOVED, MOVED / 10, MOVED / 100):
            u = _draw(module, size)
            exact = _run(copies, u, batches, y, torch.float64, True)
            if all(bool(torch.isfinite(x).all()) for x in exact.values()):
                break
        else:
            return None      # without a finite value there is nothing to compare, nor to train
        errors = _compare(_run(stack, u, batches, y, dtype, closed_form), exact)
        if dtype != torch.float64 and SWITCHED >= max(errors.values()) > ALLOWED[dtype]:
            errors = _compare(_run(VectorisedStack(widen(module), centred=centred), u, batches, y, torch.float64, True),
                              exact)
            dtype = torch.float64
        wrong = {what: error for what, error in errors.items() if not error <= ALLOWED[dtype]}
        if not wrong or (all(what.startswith("value") and what.endswith(f"{GAMMAS[0]:g}") for what in wrong)
                         and centred and _settle(stack, copies, u, batches[0], like.dtype)):
            return None
    finally:
        restore()
    what = max(wrong, key=lambda w: wrong[w] if wrong[w] == wrong[w] else np.inf)
    return f"in the self-check the {what} was off by {wrong[what]:.1e} of its size, above the allowed {ALLOWED[dtype]:g}"


def _draw(module: nn.Module, size: float) -> Parameters:
    """Return random u for each of `GAMMAS`, float64: `size` of theta_0's root mean square (of 0.1 where theta_0 is zero)."""
    source, parameters = np.random.default_rng(0), trainable(module)
    u = {}
    for n, d in zero_differences(module, len(GAMMAS)).items():
        rms = float(parameters[n].detach().abs().double().square().mean().sqrt()) or 0.1
        u[n] = torch.from_numpy(size * rms * source.standard_normal(tuple(d.shape))).to(d.device)
    return u


def _run(stack: Stack, u: Parameters, batches: list[Inputs], y: torch.Tensor, dtype: torch.dtype,
         closed_form: bool) -> dict[str, torch.Tensor]:
    """Return values (P,), their sizes (P,), gradients (P, n) by step and parameter, and outputs (P, n), all float64."""
    gamma, running, probe = torch.tensor(GAMMAS, dtype=dtype, device=y.device), stack.start(len(GAMMAS)), Projection(closed_form)
    u, found = {n: d.to(dtype) for n, d in u.items()}, {}
    for step, x in enumerate(batches):
        x = _cast(x, dtype)
        seed_torch(step)
        value, gradient = stack.gradients(u, gamma, x, y.to(dtype), probe, running)      # type: ignore[arg-type]
        found[f"value {step}"] = value.detach().double()
        found |= {f"gradient {step} {n}": d.detach().double().reshape(len(d), -1) for n, d in gradient.items()}
    if probe.sizes:
        found["sizes"] = torch.tensor(probe.sizes, dtype=torch.float64, device=y.device).reshape(len(batches), -1)
    found["outputs"] = stack.outputs(u, gamma, _cast(batches[0], dtype), running).detach().double().flatten(1)
    return found


def _cast(x: Inputs, dtype: torch.dtype) -> Any:
    return tree_map(lambda t: t.to(dtype) if t.is_floating_point() else t, x)


def _compare(found: dict[str, torch.Tensor], exact: dict[str, torch.Tensor]) -> dict[str, float]:
    """Return relative errors by what is compared and gamma."""
    errors: dict[str, float] = {}
    for what, gamma, error in _list_errors(found, exact):
        name = f"{what} at gamma = {gamma:g}"
        errors[name] = max(errors.get(name, 0.0), error if error == error else np.inf)
    return errors


def _list_errors(found: dict[str, torch.Tensor], exact: dict[str, torch.Tensor]) -> Iterator[tuple[str, float, float]]:
    for name, b in exact.items():
        if name == "sizes":
            continue
        a, (kind, *rest) = found[name], name.split(" ")
        for i, gamma in enumerate(GAMMAS):
            off, own = float((a[i] - b[i]).norm()), float(b[i].norm())
            if kind == "value":
                size = float(exact["sizes"][int(rest[0]), i])
            elif kind == "gradient":
                whole = float(torch.cat([x[i] for n, x in exact.items() if n.startswith(f"gradient {rest[0]}")]).norm())
                size = own + SMALL_PART * whole
            else:
                size = own
            yield "gradient" if kind == "gradient" else "value", gamma, off / size if size else off


def _settle(stack: Stack, copies: CopiesStack, u: Parameters, x: Any, dtype: torch.dtype) -> bool:
    """Return whether a finite difference confirms the stack's outputs at the small gamma, and contradicts those of the copies."""
    device = next(iter(u.values())).device
    one = {n: d[:1] for n, d in u.items()}
    both, wide = {n: torch.cat([d, -d]) for n, d in one.items()}, _cast(x, torch.float64)
    ahead, behind = copies.outputs(both, torch.full((2,), STEP, dtype=torch.float64, device=device), wide)
    slope = (ahead - behind) / 2
    small = torch.tensor(GAMMAS[:1], dtype=torch.float64, device=device)
    mine = stack.outputs({n: d.to(dtype) for n, d in one.items()}, small.to(dtype), x)[0].double()
    theirs = copies.outputs(one, small, wide)[0]
    return bool((mine - slope).norm() <= SETTLED * slope.norm() < (theirs - slope).norm())
