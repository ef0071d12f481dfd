"""Any operation without a rule of its own: evaluated in float64 at both values and differenced there; knows no operation.

Rounding in float64 costs 2e-16/gamma of the operation's value. Below gamma = 1e-8 the step is kept at 1e-8, which costs half of that,
times the second derivative, instead: so much under what float32 resolves, and at gamma = 0 it is the derivative.
"""

from __future__ import annotations

from typing import Any

import torch

from deepnets.centered.pair import Decided, Operand, Pair, Unsupported, each, first, rule

LEAST_STEP = 1e-8
RANDOM = frozenset({"alpha_dropout", "feature_alpha_dropout", "rrelu", "bernoulli", "multinomial", "gumbel_softmax", "normal", "poisson",
                    "binomial", "exponential", "uniform", "geometric", "cauchy", "log_normal", "random", "fractional_max_pool2d",
                    "fractional_max_pool3d", "resize", "set"})


@rule("otherwise")
def otherwise(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the pair of `func`, by evaluating it at v0 and at v0 + gamma d in float64.

    Raises
    ------
    Unsupported : an operation that draws random numbers or writes into its arguments: two evaluations are not two of the same.
    """
    name = getattr(func, "__name__", str(func)).strip("_")
    if name in RANDOM and kwargs.get("training", True):
        raise Unsupported(f"{name} draws random numbers or writes into its argument, and differences cannot be propagated through it")
    like = first((args, kwargs), Operand)
    step = like.scale.double().clamp(min=LEAST_STEP) if isinstance(like.scale, torch.Tensor) else max(like.scale, LEAST_STEP)
    args, kwargs = _wide(args), _wide(kwargs)
    frozen = func(*each(args, lambda p: p.v0), **each(kwargs, lambda p: p.v0))
    moved = func(*each(args, lambda p: _moved(p, step)), **each(kwargs, lambda p: _moved(p, step)))
    return _difference(frozen, moved, step, like)


def _moved(x: Any, step: Any) -> torch.Tensor:
    return x.v0 + step * x.d if isinstance(x, Pair) else x.moved


def _wide(x: Any) -> Any:
    """Return nested arguments in float64."""
    if isinstance(x, Pair):
        return Pair(x.v0.double(), x.d.double(), x.scale)
    if isinstance(x, torch.Tensor):
        return x.double() if x.is_floating_point() else x
    if type(x) in (list, tuple):
        return type(x)(_wide(y) for y in x)
    if type(x) is dict:
        return {k: _wide(y) for k, y in x.items()}
    return torch.float64 if isinstance(x, torch.dtype) and x.is_floating_point else x


def _difference(frozen: Any, moved: Any, step: Any, like: Any) -> Any:
    """Return the pairs of an operation's outputs, and as decisions those that have no difference (masks, indices)."""
    if isinstance(moved, list | tuple):       # torch's named tuples too
        return type(moved)([_difference(a, b, step, like) for a, b in zip(frozen, moved, strict=True)])
    if not isinstance(moved, torch.Tensor):
        return moved
    if not moved.is_floating_point():
        return Decided(frozen, moved, like.scale, like.working)
    return Pair(frozen.to(like.working), ((moved - frozen) / step).to(like.working), like.scale)
