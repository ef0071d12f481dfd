"""Fallback rule for any operation without its own: evaluate it at both values in float64 and subtract.

The rounding error is 2e-16/gamma of the operation's value. Below gamma = 1e-8 the step stays at 1e-8; the error is then half of 1e-8 times
the second derivative, which float32 does not resolve. At gamma = 0 the result is the derivative.
"""

from __future__ import annotations

from typing import Any

import torch

from deepnets.centered.pair import Decision, Operand, Pair, Unsupported, find_first, map_operands, register_rule

LEAST_STEP = 1e-8
RANDOM = frozenset({"alpha_dropout", "feature_alpha_dropout", "rrelu", "bernoulli", "multinomial", "gumbel_softmax", "normal", "poisson",
                    "binomial", "exponential", "uniform", "geometric", "cauchy", "log_normal", "random", "fractional_max_pool2d",
                    "fractional_max_pool3d", "resize", "set"})


@register_rule("fallback")
def evaluate_twice(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the pair of `func`: its values at v0 and at v0 + gamma d in float64, subtracted.

    Raises
    ------
    Unsupported : an operation that draws random numbers or writes into its arguments, so that two evaluations are not comparable.
    """
    name = getattr(func, "__name__", str(func)).strip("_")
    if name in RANDOM and kwargs.get("training", True):
        raise Unsupported(f"{name} draws random numbers or writes into its argument, and differences cannot be propagated through it")
    like = find_first((args, kwargs), Operand)
    step = like.scale.double().clamp(min=LEAST_STEP) if isinstance(like.scale, torch.Tensor) else max(like.scale, LEAST_STEP)
    args, kwargs = _as_float64(args), _as_float64(kwargs)
    frozen = func(*map_operands(args, lambda p: p.v0), **map_operands(kwargs, lambda p: p.v0))
    moved = func(*map_operands(args, lambda p: _shift(p, step)), **map_operands(kwargs, lambda p: _shift(p, step)))
    return _difference(name, frozen, moved, step, like)


def _shift(x: Any, step: Any) -> torch.Tensor:
    """Return an operand's value in the moved network."""
    return x.v0 + step * x.d if isinstance(x, Pair) else x.moved


def _as_float64(x: Any) -> Any:
    """Return nested arguments in float64."""
    if isinstance(x, Pair):
        return Pair(_as_float64(x.v0), _as_float64(x.d), x.scale)
    if isinstance(x, torch.Tensor):
        return x.to(torch.complex128) if x.is_complex() else x.double() if x.is_floating_point() else x
    if type(x) in (list, tuple):
        return type(x)(_as_float64(y) for y in x)
    if type(x) is dict:
        return {k: _as_float64(y) for k, y in x.items()}
    return torch.float64 if isinstance(x, torch.dtype) and x.is_floating_point else x


def _difference(name: str, frozen: Any, moved: Any, step: Any, like: Any) -> Any:
    """Return an operation's outputs as pairs, and masks and indices as decisions."""
    if isinstance(moved, list | tuple):       # torch's named tuples too
        return type(moved)([_difference(name, a, b, step, like) for a, b in zip(frozen, moved, strict=True)])
    if not isinstance(moved, torch.Tensor):
        return moved
    if frozen.shape != moved.shape:
        raise Unsupported(f"{name} gives a tensor whose shape depends on values, and differences cannot be propagated through it")
    if not (moved.is_floating_point() or moved.is_complex()):
        return Decision(frozen, moved, like.scale, like.working)
    working = like.working.to_complex() if moved.is_complex() else like.working.to_real()
    return Pair(frozen.to(working), ((moved - frozen) / step).to(working), like.scale)
