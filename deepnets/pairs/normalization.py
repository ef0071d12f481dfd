"""Batch and instance normalisation: in float64 as any other operation, their running statistics kept as pairs; knows no network."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from deepnets.pairs.otherwise import otherwise
from deepnets.pairs.value import Pair, Unsupported, first, lifted, propagate, rule


@rule("batch_norm")
def batch_norm(func: Any, input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: bool = False,
               momentum: float = 0.1, eps: float = 1e-5, *args: Any) -> Any:
    """In training take batch statistics; the running ones are moved where they are pairs, and left alone where they are not."""
    if not training:
        return otherwise(F.batch_norm, input, running_mean, running_var, weight, bias, False, momentum, eps)
    if isinstance(running_mean, Pair) and isinstance(running_var, Pair):
        like = first((input, weight, bias, running_mean))
        x = lifted(input, like)
        dims = [0, *range(2, x.ndim)]
        with torch.no_grad():
            var = otherwise(torch.var, x, dim=dims, unbiased=True)
            for running, batch in ((running_mean, propagate(torch.mean, (x, dims), {})), (running_var, var)):
                running.become(Pair(torch.lerp(running.v0, batch.v0.detach(), momentum),
                                    torch.lerp(running.d, batch.d.detach(), momentum), running.scale))
    if first((input, weight, bias)) is None:
        return F.batch_norm(input, None, None, weight, bias, True, momentum, eps)
    return otherwise(F.batch_norm, input, None, None, weight, bias, True, momentum, eps)


@rule("instance_norm")
def instance_norm(func: Any, input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
                  use_input_stats: bool = True, *args: Any, **kwargs: Any) -> Pair:
    """Of the instance alone."""
    if running_mean is not None:
        raise Unsupported("instance_norm with running statistics is not one that differences are propagated through")
    return otherwise(F.instance_norm, input, None, None, weight, bias, use_input_stats, *args, **kwargs)
