"""Plain training of two float64 copies by autograd, written without the package: what a run on the plane has to be.

The copies hold theta and theta_0; ``(f(theta) - f(theta_0))/gamma`` is trained by SGD of rate eta in theta. Casts to float32 inside a
module are widened to float64, and both copies draw the same random numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from tests.deepnets.zoo.samples import Samples

WIDER = {torch.float32: torch.float64, torch.complex64: torch.complex128}
METHODS = {torch.Tensor.float: torch.Tensor.double, torch.Tensor.cfloat: torch.Tensor.cdouble}
DRAWN = {torch.randn_like, torch.rand_like, torch.randn, torch.rand}
FILLED = {torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.exponential_}
BATCH, STEPS, WINDOW = 8, 30, 10
PROBE = 1e-3         # size of the steps of the power iteration, of theta or of u, whichever is smaller
ITERATIONS = 2
SHARE = 0.3          # the first rate times the sharpness at initialization
MOVED = 0.05         # the least |1 - excess| that a run must reach: a difference is measured in units of it
RISEN = 1.1          # the largest excess of a step that a run may have
ERROR, SEPARATE = 1e-6, 1e-5
TRIES = 12

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Build = Callable[[int], nn.Module]


class Widen(TorchFunctionMode):
    """Replace float32 by float64, and complex64 by complex128, wherever a module names them; random numbers are drawn in float32."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in DRAWN:      # noise of the shape of its first argument, or of given shape
            return func(*args, **kwargs | {"dtype": torch.float32}).double()
        if func in FILLED:
            with torch.no_grad():
                return args[0].copy_(func(torch.empty_like(args[0], dtype=torch.float32), *args[1:], **kwargs))
        return METHODS.get(func, func)(*_widen(args), **_widen(kwargs))


def _widen(x: Any) -> Any:
    if isinstance(x, torch.dtype):
        return WIDER.get(x, x)
    if type(x) in (tuple, list):
        return type(x)(map(_widen, x))
    return {k: _widen(v) for k, v in x.items()} if type(x) is dict else x


def mse(f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return half the squared error, averaged over samples and outputs; classes stand for one-hot rows."""
    if not y.is_floating_point():
        y = nn.functional.one_hot(y, f.shape[-1])
    return 0.5 * ((f - y) ** 2).mean()


def cross_entropy(f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of classes, averaged over samples and positions."""
    return nn.functional.cross_entropy(f.flatten(0, -2), y.flatten())


LOSSES: dict[str, Loss] = {"mse": mse, "cross_entropy": cross_entropy}


class Copy:
    """A float64 copy of a module, built afresh; each call draws the random numbers of its step."""

    def __init__(self, build: Build) -> None:
        self.module = build(0)
        self.module._apply(lambda t: t.to(WIDER[t.dtype]) if t.dtype in WIDER else t)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The trainable parameters."""
        return [p for p in self.module.parameters() if p.requires_grad]

    def __call__(self, x: torch.Tensor, step: int) -> torch.Tensor:
        torch.default_generator.manual_seed(step)          # as the package seeds the draws of a step at seed 0
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            with Widen():
                return self.module(x.double() if x.is_floating_point() else x)
        finally:
            torch.set_default_dtype(before)


def gradient(moved: Copy, frozen: Copy, gamma: float, x: torch.Tensor, y: torch.Tensor, loss: Loss, step: int) -> tuple[float, list[Any]]:
    """Return the loss of the centred network and its gradient in theta."""
    with torch.no_grad():
        f0 = frozen(x, step)
    return slope(moved, f0, gamma, x, y, loss, step)


def slope(moved: Copy, f0: torch.Tensor, gamma: float, x: torch.Tensor, y: torch.Tensor, loss: Loss, step: int) -> tuple[float, list[Any]]:
    """Return the loss and its gradient in theta, given the output of the frozen copy."""
    for p in moved.parameters:
        p.grad = None
    try:
        value = loss((moved(x, step) - f0) / gamma, y.double() if y.is_floating_point() else y)
    except torch.linalg.LinAlgError:      # a diverged run has no factors
        return np.nan, [torch.zeros_like(p) for p in moved.parameters]
    value.backward()
    return float(value.detach()), [torch.zeros_like(p) if p.grad is None else p.grad for p in moved.parameters]


def sharpness(build: Build, task: Samples, loss: Loss, gamma: float) -> float:
    """Return about the largest eigenvalue, in size, of the Hessian in theta at initialization, of the first batch.

    By power iteration on differences of gradients, from the gradient: modules need no second derivatives.
    """
    x, y = task.batch(0, 0, BATCH)
    step = PROBE * min(1.0, gamma)

    def at(direction: list[torch.Tensor], size: float) -> list[torch.Tensor]:
        moved = Copy(build)
        with torch.no_grad():
            for p, d in zip(moved.parameters, direction, strict=True):
                p += size * d
        return gradient(moved, Copy(build), gamma, x, y, loss, 0)[1]

    v = at([torch.zeros_like(p) for p in Copy(build).parameters], 0.0)
    value = 0.0
    for _ in range(ITERATIONS):
        size = float(sum(t.abs().square().sum() for t in v)) ** 0.5
        v = [t / size for t in v]
        v = [(a - b) / (2 * step) for a, b in zip(at(v, step), at(v, -step), strict=True)]
        value = float(sum(t.abs().square().sum() for t in v)) ** 0.5
    return value


def train(build: Build, task: Samples, loss: Loss, gammas: np.ndarray, etas: np.ndarray,
          noise: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Train runs for 30 steps; return their final excess (the mean of the last ten losses over that of the zero output) and largest excess.

    All arrays (P,); `noise` is the size of a random relative error of each entry of a gradient.
    """
    frozen, runs, draws = Copy(build), [Copy(build) for _ in gammas], torch.Generator().manual_seed(1)
    losses, zero = np.full((STEPS + 1, len(gammas)), np.nan), np.zeros(STEPS + 1)
    for step in range(STEPS + 1):
        x, y = task.batch(0, step, BATCH)
        with torch.no_grad():
            f0 = frozen(x, step)
            zero[step] = loss(torch.zeros_like(f0), y)
        for p, (moved, gamma, eta, error) in enumerate(zip(runs, gammas, etas, np.broadcast_to(noise, len(gammas)), strict=True)):
            losses[step, p], g = slope(moved, f0, gamma, x, y, loss, step)
            with torch.no_grad():
                for parameter, d in zip(moved.parameters, g, strict=True):
                    parameter -= eta * d * (1 + error * torch.randn(d.shape, generator=draws) if error else 1)
    losses = np.where(np.isfinite(losses), losses, np.inf)
    return losses[-WINDOW:].mean(0) / zero[-WINDOW:].mean(), (losses / zero[:, None]).max(0)


def choose_rates(build: Build, task: Samples, loss: Loss, gammas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a rate for each gamma, and the final excess of its run: the first rate from 0.3/sharpness on at which the run moves.

    A rate at which the run hardly moves is doubled. One at which a loss rises, or at which runs separate (from gamma = 1 on a second run
    with relative errors of 1e-6 in its gradients differs by more than 1e-5 of the movement), is halved, and then only lowered.
    """
    etas = np.array([SHARE / sharpness(build, task, loss, g) for g in gammas])
    excess, wild = np.ones(len(gammas)), np.zeros(len(gammas), bool)
    again, rise = ~wild, ~wild
    for _ in range(TRIES):
        tried = np.flatnonzero(again)
        twins = tried[gammas[tried] >= 1]
        at = np.concatenate([tried, twins])
        values, peak = train(build, task, loss, gammas[at], etas[at], np.where(np.arange(len(at)) < len(tried), 0.0, ERROR))
        excess[tried], wild[tried] = values[:len(tried)], ~(peak[:len(tried)] < RISEN)
        wild[twins] |= ~(np.abs(values[len(tried):] - excess[twins]) <= SEPARATE * np.abs(1 - excess[twins]))
        rise &= ~wild
        slow = rise & (np.abs(1 - excess) < MOVED)
        again = wild | slow
        if not again.any():
            break
        etas = np.where(wild, etas / 2, np.where(slow, 2 * etas, etas))
    return etas, excess
