"""ReLU on pairs: the difference and the moved activation behind it, operation by operation or by one kernel.

Operation by operation, the activations of a stack are read or written 12.5 times; the kernel does so 3.25 times. It is an operation of
torch's, so that its bytes are counted, and it is tried, on a CPU as well. On a GPU it needs Triton, which comes with torch's wheels.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from functools import cache

import torch

from validation.user_warnings import warn_user

Pairs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
Rectifier = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Pairs]
ALLOWED = 1e-5       # relative error of the kernel's first results, in float32


def rectify_pairs(d: torch.Tensor, frozen: torch.Tensor, gamma: torch.Tensor) -> Pairs:
    """Return the difference behind a ReLU, the moved activation, exactly 0 where the unit is off, and which units are on; all (P, B, N).

    Parameters
    ----------
    d : the difference before it, (P, B, N), whose memory is used up.
    frozen : h_0 before it, (B, N); it becomes what is behind it, in place.
    gamma : (P,).
    """
    g = gamma[:, None, None]
    # as in centered/rules_nn.py: on, d + min(r, 0); off, -max(r, 0), with r = h_0/gamma; that is the larger of the two
    below, floor = d.addcdiv_(frozen.clamp(max=0), g), -frozen.clamp_(min=0) / g
    on = below > floor
    d = torch.maximum(below, floor, out=floor)
    return d, torch.addcmul(frozen, g, d).mul_(on), on


def rectify_by_kernel(d: torch.Tensor, frozen: torch.Tensor, gamma: torch.Tensor) -> Pairs:
    """Return what `rectify_pairs` does, by one kernel; d, in place, and frozen are contiguous."""
    found: Pairs = torch.ops.lazyrich.rectify_pairs(d, frozen, gamma)
    frozen.clamp_(min=0)
    return found


def choose_rectifier(like: torch.Tensor) -> Rectifier:
    """Return `rectify_by_kernel` where a device has the kernel, else `rectify_pairs`.

    Parameters
    ----------
    like : of a stack's dtype and on its device.
    """
    return rectify_by_kernel if like.is_cuda and has_kernel(like.device) else rectify_pairs


@cache
def has_kernel(device: torch.device) -> bool:
    """Return whether Triton is there, compiles the kernel, and the kernel is right; warn once if it is wrong or does not compile."""
    if importlib.util.find_spec("triton") is None:
        return False
    try:
        right, reason = _is_right(device), "its numbers came out wrong"
    except Exception as error:      # of many kinds, from Triton, its compiler or the driver
        right, reason = False, f"{type(error).__name__}: {error}".splitlines()[0]
    if not right:
        warn_user(f"ReLUs on pairs run operation by operation, more slowly, because their kernel does not work here ({reason})",
                  RuntimeWarning)
    return right


def _is_right(device: torch.device) -> bool:
    """Return whether the kernel's results on a few numbers are those of the plain operations."""
    frozen = torch.linspace(-1, 1, 35, device=device).reshape(5, 7)
    d, gamma = torch.linspace(-2, 3, 105, device=device).reshape(3, 5, 7).sin(), torch.tensor([1e-3, 1.0, 10.0]).to(device)
    found, expected = (rectify(d.clone(), frozen.clone(), gamma) for rectify in (rectify_by_kernel, rectify_pairs))
    return torch.equal(found[2], expected[2]) and all(torch.allclose(a, b, ALLOWED, ALLOWED)
                                                      for a, b in zip(found[:2], expected[:2], strict=True))


def _rectify_on_cpu(d: torch.Tensor, frozen: torch.Tensor, gamma: torch.Tensor) -> Pairs:
    y, moved, on = rectify_pairs(d, frozen.clone(), gamma)
    return d.copy_(y), moved, on


def _rectify_without_data(d: torch.Tensor, frozen: torch.Tensor, gamma: torch.Tensor) -> Pairs:
    return d, torch.empty_like(d), torch.empty_like(d, dtype=torch.bool)


def _rectify_on_gpu(d: torch.Tensor, frozen: torch.Tensor, gamma: torch.Tensor) -> Pairs:
    moved, on = torch.empty_like(d), torch.empty_like(d, dtype=torch.bool)
    importlib.import_module("deepnets.batched.pair_kernel").launch(d, frozen, gamma, moved, on)      # needs Triton
    return d, moved, on


_LIBRARY = torch.library.Library("lazyrich", "DEF")
_LIBRARY.define("rectify_pairs(Tensor(a!) d, Tensor frozen, Tensor gamma) -> (Tensor(a!), Tensor, Tensor)")
for _key, _function in (("CPU", _rectify_on_cpu), ("Meta", _rectify_without_data), ("CUDA", _rectify_on_gpu)):
    _LIBRARY.impl("rectify_pairs", _function, _key)
