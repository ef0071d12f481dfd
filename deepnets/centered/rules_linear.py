"""Rules for operations linear in their arguments: applied alike to the frozen value and to the difference."""

from __future__ import annotations

from typing import Any

import torch

from deepnets.centered.aliases import record_views, set_item, with_item, write
from deepnets.centered.pair import Decision, Pair, Unsupported, as_pair, find_first, map_operands, propagate, register_rule
from deepnets.centered.rules_fallback import evaluate_twice


@register_rule("view reshape flatten ravel unflatten transpose swapaxes swapdims permute movedim moveaxis t adjoint sum mean cumsum "
               "avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d unsqueeze squeeze "
               "contiguous expand expand_as broadcast_to neg negative pos positive chunk split split_with_sizes tensor_split "
               "unsafe_chunk unsafe_split unbind narrow select getitem index_select gather take_along_dim roll flip fliplr flipud "
               "rot90 repeat tile repeat_interleave tril triu diagonal diag trace unfold fold im2col col2im interpolate upsample "
               "pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle clone detach to type float double half bfloat16 "
               "cpu cuda type_as view_as reshape_as diff atleast_1d atleast_2d atleast_3d real imag view_as_real view_as_complex conj "
               "resolve_conj fft_fft fft_ifft fft_rfft fft_irfft fft_fft2 fft_ifft2 fft_rfft2 fft_irfft2 fft_fftn fft_ifftn fft_rfftn "
               "fft_irfftn fft_hfft fft_ihfft fft_fftshift fft_ifftshift")
def apply_to_both(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the pair ``(F(v0), F(d))``; the other arguments are shapes, indices and dtypes."""
    pair = find_first((args, kwargs))
    v0 = func(*map_operands(args, lambda p: p.v0), **map_operands(kwargs, lambda p: p.v0))
    d = func(*map_operands(args, lambda p: p.d), **map_operands(kwargs, lambda p: p.d))
    result = (type(v0)(Pair(a, b, pair.scale) for a, b in zip(v0, d, strict=True)) if isinstance(v0, list | tuple)
              else Pair(v0, d, pair.scale))
    record_views(func, args, kwargs, pair, result)
    return result


@register_rule("copy")
def _copy(func: Any, target: Any, source: Any, non_blocking: bool = False) -> Pair:
    like = find_first((target, source))
    source = as_pair(source, like)
    return Pair(source.v0.expand(target.shape).to(target.dtype), source.d.expand(target.shape).to(target.dtype), like.scale)


@register_rule("zero")
def _zero(func: Any, target: Pair) -> Pair:
    return Pair(torch.zeros_like(target.v0), torch.zeros_like(target.d), target.scale)


@register_rule("embedding")
def _embedding(func: Any, input: torch.Tensor, weight: Any, padding_idx: Any = None, max_norm: Any = None, *args: Any,
               **kwargs: Any) -> Any:
    if max_norm is not None:
        raise Unsupported("embedding(max_norm=...) rescales its weights as it is called, and differences cannot be propagated through it")
    return apply_to_both(func, input, weight, padding_idx, max_norm, *args, **kwargs)


@register_rule("cat concat concatenate stack hstack vstack dstack row_stack column_stack")
def _concatenate(func: Any, tensors: Any, *args: Any, **kwargs: Any) -> Any:
    like = find_first(tensors)
    pairs = [as_pair(x, like) for x in tensors]
    return Pair(func([p.v0 for p in pairs], *args, **kwargs), func([p.d for p in pairs], *args, **kwargs), like.scale)


@register_rule("add")
def _add(func: Any, a: Any, b: Any, *, alpha: Any = 1) -> Pair:
    return _sum(a, b, alpha)


@register_rule("radd")
def _radd(func: Any, a: Any, b: Any) -> Pair:
    return _sum(b, a, 1)


@register_rule("sub")
def _sub(func: Any, a: Any, b: Any, *, alpha: Any = 1) -> Pair:
    return _sum(a, b, -alpha)


@register_rule("rsub")
def _rsub(func: Any, a: Any, b: Any, *, alpha: Any = 1) -> Pair:
    return _sum(b, a, -alpha)


def _sum(a: Any, b: Any, alpha: Any) -> Pair:
    """Return ``a + alpha b``; where only one of them is a pair, its difference is broadcast to the shape of the sum."""
    pair = a if isinstance(a, Pair) else b
    v0 = _frozen(a) + _frozen(b) if isinstance(alpha, int) and alpha == 1 else _frozen(a) + alpha * _frozen(b)
    if isinstance(a, Pair) and isinstance(b, Pair):
        d = a.d + b.d if isinstance(alpha, int) and alpha == 1 else a.d + alpha * b.d
    else:
        d = (a.d if isinstance(a, Pair) else alpha * b.d).expand_as(v0).to(v0.dtype)
    return Pair(v0, d, pair.scale)


def _frozen(x: Any) -> Any:
    return x.v0 if isinstance(x, Pair) else x


@register_rule("div")
def _div(func: Any, a: Any, b: Any, *, rounding_mode: str | None = None) -> Any:
    if isinstance(b, Pair) or rounding_mode is not None:
        return evaluate_twice(torch.div, a, b, rounding_mode=rounding_mode)
    return Pair(a.v0 / b, a.d / b, a.scale)


@register_rule("pad")
def _pad(func: Any, input: Pair, pad: Any, mode: str = "constant", value: Any = None) -> Pair:
    """Pad the difference with zeros: a constant is the same in both networks."""
    return Pair(func(input.v0, pad, mode, value), func(input.d, pad, mode, 0 if value is not None else None), input.scale)


@register_rule("masked_fill")
def _masked_fill(func: Any, input: Pair, mask: torch.Tensor, value: Any) -> Any:
    if isinstance(value, Pair):
        return propagate(torch.where, (mask, value, input), {})
    return Pair(input.v0.masked_fill(mask, value), input.d.masked_fill(mask, 0), input.scale)


@register_rule("where")
def _where(func: Any, condition: Any, a: Any, b: Any) -> Pair:
    if not isinstance(condition, torch.Tensor):      # x.where(condition, b)
        condition, a = a, condition
    like = a if isinstance(a, Pair) else b
    a, b = as_pair(a, like), as_pair(b, like)
    return Pair(torch.where(condition, a.v0, b.v0), torch.where(condition, a.d, b.d), like.scale)


@register_rule("setitem")
def _setitem(func: Any, target: Any, index: Any, value: Any) -> None:
    if not isinstance(target, Pair):
        raise Unsupported("x[...] = y writes a pair y, or at a mask computed from one, into a plain tensor x, and differences cannot be "
                          "propagated through it")
    if find_first((index, value), Decision) is None:
        set_item(target, index, value)
    else:      # at a mask that may differ in the two networks
        write(target, evaluate_twice(with_item, target, index, value))
