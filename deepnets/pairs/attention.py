"""Attention taken apart, so that its products are done in the working precision; knows no network."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from deepnets.pairs.otherwise import otherwise
from deepnets.pairs.value import Unsupported, first, rule


@rule("scaled_dot_product_attention")
def scaled_dot_product_attention(func: Any, query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
                                 is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False) -> Any:
    """``softmax(q k^T scale + mask) v``; shapes (..., length, head)."""
    if enable_gqa:
        if dropout_p:
            raise Unsupported("scaled_dot_product_attention with grouped queries and dropout: differences cannot be propagated through it")
        return otherwise(func, query, key, value, attn_mask, 0.0, is_causal, scale=scale, enable_gqa=True)
    attention = _attention(query, key, attn_mask, is_causal, scale)
    return torch.matmul(F.dropout(attention, dropout_p) if dropout_p else attention, value)


def _attention(query: Any, key: Any, mask: Any, is_causal: bool, scale: float | None) -> Any:
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


@rule("multi_head_attention_forward")
def multi_head_attention(func: Any, query: Any, key: Any, value: Any, embed_dim_to_check: int, num_heads: int, in_proj_weight: Any,
                         in_proj_bias: Any, bias_k: Any, bias_v: Any, add_zero_attn: bool, dropout_p: float, out_proj_weight: Any,
                         out_proj_bias: Any, training: bool = True, key_padding_mask: Any = None, need_weights: bool = True,
                         attn_mask: Any = None, use_separate_proj_weight: bool = False, q_proj_weight: Any = None,
                         k_proj_weight: Any = None, v_proj_weight: Any = None, static_k: Any = None, static_v: Any = None,
                         average_attn_weights: bool = True, is_causal: bool = False) -> Any:
    """``nn.MultiheadAttention``'s forward; query (length, batch, embedding) or, without a batch, (length, embedding)."""
    if add_zero_attn or first((bias_k, bias_v)) is not None or bias_k is not None or static_k is not None or static_v is not None:
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
    attention = _attention(q, k, _mask(attn_mask, key_padding_mask, q, k), False, None)
    if dropout_p and training:
        attention = F.dropout(attention, dropout_p)
    out = F.linear(torch.matmul(attention, v).permute(2, 0, 1, 3).reshape(length, batch, width), out_proj_weight, out_proj_bias)
    told = None
    if need_weights:
        told = attention.mean(1) if average_attn_weights else attention
        told = told if batched else told.squeeze(0)
    return (out if batched else out.squeeze(1)), told


def _mask(attn_mask: Any, key_padding_mask: Any, q: Any, k: Any) -> torch.Tensor | None:
    """Return both masks as one to be added, broadcastable to (batch, head, query length, key length)."""
    masks = []
    if attn_mask is not None:
        masks.append(_additive(attn_mask, q).unflatten(0, (q.shape[0], -1)) if attn_mask.ndim == 3 else _additive(attn_mask, q))
    if key_padding_mask is not None:
        masks.append(_additive(key_padding_mask, q)[:, None, None, :])
    if not masks:
        return None
    return masks[0] if len(masks) == 1 else masks[0] + masks[1]


def _additive(mask: torch.Tensor, like: Any) -> torch.Tensor:
    """Return a mask of the multi-head kind (True: not looked at) as one to be added."""
    if mask.dtype != torch.bool:
        return mask.to(like.dtype)
    return torch.zeros(mask.shape, dtype=like.dtype, device=like.device).masked_fill(mask, -math.inf)
