"""ReLU on pairs as one Triton kernel: each number is read once and written once. Only imported where Triton is there."""

from __future__ import annotations

import contextlib

import torch
import triton
import triton.language as tl

BLOCK = 1024      # numbers of one run that a program takes


@triton.jit
def _rectify(d, frozen, gamma, moved, on, n, BLOCK: tl.constexpr):
    run = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
    g = tl.load(gamma + run)
    h = tl.load(frozen + at, mask=inside, other=0.0)
    off_by = tl.maximum(h, 0.0)
    below = tl.load(d + run * n + at, mask=inside, other=0.0) + tl.minimum(h, 0.0) / g
    floor = -off_by / g
    is_off = below <= floor      # what is not a number counts as on here, and so stays none
    y = tl.where(is_off, floor, below)
    tl.store(d + run * n + at, y, mask=inside)
    tl.store(moved + run * n + at, tl.where(is_off, 0.0, off_by + g * y), mask=inside)
    tl.store(on + run * n + at, (below > floor).to(tl.int8), mask=inside)


def launch(d: torch.Tensor, frozen: torch.Tensor, gamma: torch.Tensor, moved: torch.Tensor, on: torch.Tensor) -> None:
    """Compute what `deepnets.batched.rectified_pairs.rectify_pairs` returns; d, moved and on (P, B, N) are written; all contiguous."""
    with torch.cuda.device(d.device) if d.is_cuda else contextlib.nullcontext():
        _rectify[len(d), triton.cdiv(frozen.numel(), BLOCK)](d, frozen, gamma, moved, on.view(torch.int8), frozen.numel(), BLOCK=BLOCK)
