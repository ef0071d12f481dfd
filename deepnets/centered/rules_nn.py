"""Rules for neural-network operations: ReLU, dropout, normalisation with running statistics, attention.

Attention is written out as its products and a softmax, so that the products run in the working precision; the fallback would take all of it
in float64.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from deepnets.centered.pair import Pair, Unsupported, as_pair, cast_scale, find_first, propagate, register_rule
from deepnets.centered.rules_fallback import evaluate_twice

TINY = 1e-30     # the least gamma that ReLU's rule divides by


@register_rule("relu")
def relu(func: Any, input: Pair, inplace: bool = False) -> Pair:
    """Return ReLU's pair in closed form, without cancellation at any gamma.

    With r = v0/gamma a unit is on where d > -r; its difference is then d + min(r, 0), and -max(r, 0) where it is off.
    """
    scale = cast_scale(input.scale, input.v0.dtype)
    r = input.v0 / (scale.clamp(min=TINY) if isinstance(scale, torch.Tensor) else max(scale, TINY))
    on = input.d > -r
    d = torch.where(on, input.d + r.clamp(max=0), -r.clamp(min=0))
    # a unit that is off must be exactly 0, not what rounding leaves of v0 - v0
    return Pair(torch.relu(input.v0), d, input.scale, torch.where(on, input.full, torch.zeros_like(d)))


@register_rule("dropout dropout1d dropout2d dropout3d feature_dropout")
def dropout(func: Any, input: Pair, p: float = 0.5, training: bool | None = None, inplace: bool = False, train: bool | None = None) -> Pair:
    """Multiply value and difference by one mask: both networks drop the same units."""
    active = training if training is not None else train if train is not None else True
    if not active or p == 0:
        return input
    mask = _draw_mask(func, input.v0, p)
    return Pair(input.v0 * mask, input.d * mask, input.scale)


def _draw_mask(func: Any, like: torch.Tensor, p: float) -> torch.Tensor:
    """Return a mask; its numbers are drawn in the order of memory, as torch does it for a plain tensor but not under `vmap`."""
    if func.__name__ != "dropout" or like.is_contiguous():
        return func(torch.ones_like(like), p, True)
    order = sorted(range(like.ndim), key=like.stride, reverse=True)
    mask = func(torch.ones([like.shape[i] for i in order], dtype=like.dtype, device=like.device), p, True)
    return mask.permute([order.index(i) for i in range(like.ndim)])


@register_rule("batch_norm")
def batch_norm(func: Any, input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: bool = False,
               momentum: float = 0.1, eps: float = 1e-5, *args: Any) -> Any:
    """Normalise by batch statistics in training mode, and update running statistics that are pairs."""
    if not training:
        return evaluate_twice(F.batch_norm, input, running_mean, running_var, weight, bias, False, momentum, eps)
    if isinstance(running_mean, Pair) and isinstance(running_var, Pair):
        like = find_first((input, weight, bias, running_mean))
        x = as_pair(input, like)
        dims = [0, *range(2, x.ndim)]
        with torch.no_grad():
            var = evaluate_twice(torch.var, x, dim=dims, unbiased=True)
            for running, batch in ((running_mean, propagate(torch.mean, (x, dims), {})), (running_var, var)):
                running.become(Pair(torch.lerp(running.v0, batch.v0.detach(), momentum),
                                    torch.lerp(running.d, batch.d.detach(), momentum), running.scale))
    if find_first((input, weight, bias)) is None:
        return F.batch_norm(input, None, None, weight, bias, True, momentum, eps)
    return evaluate_twice(F.batch_norm, input, None, None, weight, bias, True, momentum, eps)


@register_rule("instance_norm")
def instance_norm(func: Any, input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
                  use_input_stats: bool = True, *args: Any, **kwargs: Any) -> Pair:
    """Normalise by the instance's own statistics."""
    if running_mean is not None:
        raise Unsupported("instance_norm with running statistics: differences cannot be propagated through it")
    return evaluate_twice(F.instance_norm, input, None, None, weight, bias, use_input_stats, *args, **kwargs)


@register_rule("scaled_dot_product_attention")
def scaled_dot_product_attention(func: Any, query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
                                 is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False) -> Any:
    """Return ``softmax(q k^T scale + mask) v``; shapes (..., length, width of a head)."""
    if enable_gqa:
        if dropout_p:
            raise Unsupported("scaled_dot_product_attention with grouped queries and dropout: differences cannot be propagated through it")
        return evaluate_twice(func, query, key, value, attn_mask, 0.0, is_causal, scale=scale, enable_gqa=True)
    attention = _attention_weights(query, key, attn_mask, is_causal, scale)
    return torch.matmul(F.dropout(attention, dropout_p) if dropout_p else attention, value)


def _attention_weights(query: Any, key: Any, mask: Any, is_causal: bool, scale: float | None) -> Any:
    """Return the attention weights, (..., query length, key length)."""
    logits = torch.matmul(query * (1 / math.sqrt(query.shape[-1]) if scale is None else scale), key.transpose(-2, -1))
    if is_causal:
        allowed = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
        logits = torch.masked_fill(logits, ~allowed, -math.inf)
    if mask is not None:
        if isinstance(mask, torch.Tensor) and mask.dtype == torch.bool:
            logits = torch.where(mask, logits, -math.inf)
        else:
            logits = logits + mask
    return torch.softmax(logits, -1)


@register_rule("multi_head_attention_forward")
def multi_head_attention(func: Any, query: Any, key: Any, value: Any, embed_dim_to_check: int, num_heads: int, in_proj_weight: Any,
                         in_proj_bias: Any, bias_k: Any, bias_v: Any, add_zero_attn: bool, dropout_p: float, out_proj_weight: Any,
                         out_proj_bias: Any, training: bool = True, key_padding_mask: Any = None, need_weights: bool = True,
                         attn_mask: Any = None, use_separate_proj_weight: bool = False, q_proj_weight: Any = None,
                         k_proj_weight: Any = None, v_proj_weight: Any = None, static_k: Any = None, static_v: Any = None,
                         average_attn_weights: bool = True, is_causal: bool = False) -> Any:
    """Return the output and weights of ``nn.MultiheadAttention``; query (length, batch, embedding) or (length, embedding)."""
    if add_zero_attn or find_first((bias_k, bias_v)) is not None or bias_k is not None or static_k is not None or static_v is not None:
        raise Unsupported("multi_head_attention_forward with bias_k, add_zero_attn or static keys: "
                          "differences cannot be propagated through it")
    batched = query.ndim == 3
    if not batched:
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    length, batch, width = query.shape
    if use_separate_proj_weight:
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
    else:
        weights = in_proj_weight.chunk(3)
    biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    q, k, v = (F.linear(x, w, b).unflatten(-1, (num_heads, width // num_heads)).permute(1, 2, 0, 3)
               for x, w, b in zip((query, key, value), weights, biases, strict=True))     # (batch, head, length, width of a head)
    attention = _attention_weights(q, k, _combine_masks(attn_mask, key_padding_mask, q, k), False, None)
    if dropout_p and training:
        attention = F.dropout(attention, dropout_p)
    out = F.linear(torch.matmul(attention, v).permute(2, 0, 1, 3).reshape(length, batch, width), out_proj_weight, out_proj_bias)
    out = out if batched else out.squeeze(1)
    if not need_weights:
        return out, None
    returned = attention.mean(1) if average_attn_weights else attention
    return out, (returned if batched else returned.squeeze(0))


def _combine_masks(attn_mask: Any, key_padding_mask: Any, q: Any, k: Any) -> torch.Tensor | None:
    """Return both masks as one additive mask, broadcastable to (batch, head, query length, key length)."""
    masks = []
    if attn_mask is not None:
        masks.append(_as_additive(attn_mask, q).unflatten(0, (q.shape[0], -1)) if attn_mask.ndim == 3 else _as_additive(attn_mask, q))
    if key_padding_mask is not None:
        masks.append(_as_additive(key_padding_mask, q)[:, None, None, :])
    if not masks:
        return None
    return masks[0] if len(masks) == 1 else masks[0] + masks[1]


def _as_additive(mask: torch.Tensor, like: Any) -> torch.Tensor:
    """Return a mask of `nn.MultiheadAttention` (True: excluded) as an additive one."""
    if mask.dtype != torch.bool:
        return mask.to(like.dtype)
    return torch.zeros(mask.shape, dtype=like.dtype, device=like.device).masked_fill(mask, -math.inf)
