"""Rules for operations linear in each of two factors: products, matrix products, convolutions.

``F(a, b) - F(a0, b0) = gamma (F(da, b0) + F(a0 + gamma da, db))``: nothing is subtracted, so nothing cancels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from deepnets.centered.pair import Pair, as_pair, register_rule
from deepnets.centered.rules_fallback import evaluate_twice
from deepnets.precision import contracting


def product(multiply: Callable[[Any, Any], Any], a: Any, b: Any) -> Pair:
    """Return the pair of ``multiply(a, b)``; at least one factor is a pair."""
    if not isinstance(b, Pair):
        return Pair(multiply(a.v0, b), multiply(a.d, b), a.scale)
    if not isinstance(a, Pair):
        return Pair(multiply(a, b.v0), multiply(a, b.d), b.scale)
    return Pair(multiply(a.v0, b.v0), multiply(a.d, b.v0) + multiply(a.full, b.d), a.scale)


@register_rule("mul outer ger kron")
def _product(func: Any, a: Any, b: Any, *args: Any, **kwargs: Any) -> Pair:
    return product(lambda x, y: func(x, y, *args, **kwargs), a, b)


@register_rule("matmul bmm mm mv dot inner vdot tensordot")
def _contraction(func: Any, a: Any, b: Any, *args: Any, **kwargs: Any) -> Pair:
    return product(contracting(lambda x, y: func(x, y, *args, **kwargs)), a, b)


@register_rule("rmul")
def _rmul(func: Any, a: Any, b: Any) -> Pair:
    return product(torch.mul, b, a)


@register_rule("rmatmul")
def _rmatmul(func: Any, a: Any, b: Any) -> Pair:
    return product(contracting(torch.matmul), b, a)


@register_rule("einsum")
def _einsum(func: Any, equation: Any, *operands: Any) -> Any:
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    if len(operands) == 2:
        return product(contracting(lambda x, y: torch.einsum(equation, x, y)), *operands)
    return evaluate_twice(torch.einsum, equation, *operands)


@register_rule("linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d")
def _affine(func: Any, input: Any, weight: Any, bias: Any = None, *args: Any, **kwargs: Any) -> Pair:
    """Apply a linear map or a convolution, and add the bias along the channels."""
    if isinstance(input, Pair) or isinstance(weight, Pair):
        output = product(contracting(lambda x, w: func(x, w, None, *args, **kwargs)), input, weight)
    else:
        output = as_pair(func(input, weight, None, *args, **kwargs), bias)     # only the bias is a pair
    if bias is None:
        return output
    spatial = 0 if func.__name__ == "linear" else weight.ndim - 2
    if isinstance(bias, Pair):
        return Pair(output.v0 + _reshape_bias(bias.v0, spatial), output.d + _reshape_bias(bias.d, spatial), output.scale)
    return Pair(output.v0 + _reshape_bias(bias, spatial), output.d, output.scale)


def _reshape_bias(bias: torch.Tensor, spatial: int) -> torch.Tensor:
    return bias.reshape(-1, *[1] * spatial) if spatial else bias


@register_rule("addmm addbmm baddbmm addmv")
def _addmm(func: Any, input: Any, a: Any, b: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    if func.__name__.startswith("addbmm") or not (isinstance(a, Pair) or isinstance(b, Pair)):
        return evaluate_twice(func, input, a, b, beta=beta, alpha=alpha)
    contracted = product(contracting(torch.matmul), a, b)
    return beta * input + (contracted if alpha == 1 else alpha * contracted)
