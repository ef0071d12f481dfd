"""A stack of runs trained as one batch: same theta_0, same stream, each its own gamma and eta; knows no portrait.

A run that has diverged never touches another; it is taken out of the stack when enough have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from deepnets.losses import Loss
from deepnets.optimizers import Optimizer
from deepnets.slots import slotted
from deepnets.stacks import Parameters, Stack, at_rest
from deepnets.tasks import Task

LOOK_EVERY = 25          # steps between looks for runs that have diverged
WORTH_LEAVING = 1 / 8    # the share of the stack that must have diverged before it is packed anew
TOO_FAR = 1e30           # of a parameter


@dataclass(frozen=True)
class Trained:
    """What became of P runs of T steps.

    Attributes
    ----------
    losses : (T + 1, P), float64: before every step, and after the last; not finite from where a run diverged.
    at_rest : (T + 1,), the loss of the zero output on the same batches.
    dead : (P,), whether the network's output has become constant.
    accuracy : (P,) or None, on the task's held-out samples.
    """

    losses: np.ndarray
    at_rest: np.ndarray
    dead: np.ndarray
    accuracy: np.ndarray | None


@dataclass(frozen=True)
class Recipe:
    """How a stack is trained.

    Attributes
    ----------
    task, loss, optimizer : see their rooms.
    factors : (T,), the schedule.
    rates : by parameter name, the rate over eta.
    batch_size : samples a step.
    """

    task: Task
    loss: Loss
    optimizer: Optimizer
    factors: np.ndarray
    rates: dict[str, float]
    batch_size: int


@torch.no_grad()
def train(module: nn.Module, stack: Stack, recipe: Recipe, gamma: np.ndarray, eta: np.ndarray, seed: int) -> Trained:
    """Train P runs and return what became of them.

    Parameters
    ----------
    module : holds theta_0, and says dtype and device.
    stack : of that module.
    gamma, eta : (P,).
    seed : of the stream.
    """
    steps, runs, optimizer = len(recipe.factors), len(gamma), recipe.optimizer
    reference = next(module.parameters())
    u = at_rest(module, runs)
    memory = {n: [torch.zeros_like(d) for _ in range(optimizer.memories)] for n, d in u.items()}
    alive = np.arange(runs)
    losses = np.full((steps + 1, runs), np.nan)
    resting = np.full(steps + 1, np.nan)
    g, rate = _scales(gamma, eta, optimizer, reference)
    kept: list[torch.Tensor] = []
    still: list[torch.Tensor] = []
    for step in range(steps + 1):
        x, y = batch(recipe, seed, step, reference)
        still.append(recipe.loss.value(torch.zeros_like(y), y))
        if stack.draws:
            torch.manual_seed((seed * 1_000_003 + step) % 2**63)     # what it draws (dropout) depends on (seed, step) alone
        value, gradient = stack.gradients(u, g, x, y, recipe.loss)
        kept.append(value)
        if step < steps:
            for n, d in u.items():
                moved = optimizer.direction(gradient[n], memory[n], step)
                by = rate * (recipe.rates[n] * float(recipe.factors[step]))
                d.addcmul_(moved, by.reshape(-1, *[1] * (d.ndim - 1)), value=-1)
        if (step + 1) % LOOK_EVERY == 0 or step == steps:
            losses[step + 1 - len(kept):step + 1, alive] = torch.stack(kept).double().cpu().numpy()
            resting[step + 1 - len(still):step + 1] = torch.stack(still).double().cpu().numpy()
            kept, still = [], []
            gone = _diverged(u, g, value)
            losses[step, alive[gone]] = np.nan
            if step < steps and (gone.mean() >= WORTH_LEAVING):
                stay = torch.from_numpy(np.flatnonzero(~gone)).to(reference.device)
                alive = alive[~gone]
                u = {n: d[stay] for n, d in u.items()}
                memory = {n: [m[stay] for m in held] for n, held in memory.items()}
                g, rate = g[stay], rate[stay]
            if len(alive) == 0:
                resting[step + 1:] = resting[step]
                break
    dead, accuracy = _at_the_end(module, stack, recipe, u, g, alive, runs)
    return Trained(losses, resting, dead, accuracy)


def batch(recipe: Recipe, seed: int, step: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the step's inputs and targets (batch, K) as numbers, of the dtype and on the device of `like`."""
    x, y = recipe.task.batch(seed, step, recipe.batch_size)
    return _placed(x, like), recipe.loss.target(y, recipe.task.out_features).to(like)


def _placed(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return x.to(device=like.device, dtype=like.dtype) if x.is_floating_point() else x.to(like.device)


def _scales(gamma: np.ndarray, eta: np.ndarray, optimizer: Optimizer, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return gamma and the rate in u, eta/gamma**power; both (P,). A rate beyond the dtype's range is its largest number."""
    most = torch.finfo(like.dtype).max
    rate = np.minimum(eta / gamma**optimizer.power, most / 1e6)
    return tuple(torch.tensor(v, dtype=like.dtype, device=like.device) for v in (gamma, rate))     # type: ignore[return-value]


def _diverged(u: Parameters, gamma: torch.Tensor, value: torch.Tensor) -> np.ndarray:
    """Return which runs have a loss that is not finite, or a parameter beyond 1e30 (or not finite)."""
    largest = torch.stack([d.flatten(1).abs().amax(1) for d in u.values()]).amax(0)
    return (~torch.isfinite(value) | ~(largest.double() * gamma.double() <= TOO_FAR)).cpu().numpy()


def _at_the_end(module: nn.Module, stack: Stack, recipe: Recipe, u: Parameters, gamma: torch.Tensor, alive: np.ndarray,
                runs: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return which runs are dead, and the accuracies on the held-out samples."""
    dead, accuracy = np.zeros(runs, bool), None if recipe.task.classes is None else np.full(runs, np.nan)
    if len(alive) == 0:
        return dead, accuracy
    x, y = recipe.task.held_out()
    x = _placed(x, gamma)
    theta = {n: p.detach() for n, p in module.named_parameters()}
    for i, run in enumerate(alive):
        dead[run] = _constant(module, {n: theta[n] + gamma[i] * d[i] for n, d in u.items()}, x)
    if accuracy is not None:
        centred = stack.outputs(u, gamma, x)
        accuracy[alive] = (centred.argmax(-1) == y.to(centred.device)).double().mean(-1).cpu().numpy()
        accuracy[alive[~torch.isfinite(centred).all(-1).all(-1).cpu().numpy()]] = np.nan
    return dead, accuracy


def _constant(module: nn.Module, theta: Parameters, x: torch.Tensor) -> bool:
    """Return whether the network at theta, itself and not its difference, gives one output whatever the input."""
    with slotted(module, theta | {n: b.clone() for n, b in module.named_buffers()}):
        output = module(x)
    return bool((output - output[:1]).abs().amax() <= 1e-6 * output.abs().amax())


def rates(scalings: Any, optimizer: Optimizer, names: list[str], width: int) -> dict[str, float]:
    """Return each parameter's rate over eta: of a specification's scalings, or, without them, N for all (1 for those without scale)."""
    if scalings is None:
        return dict.fromkeys(names, float(width) if optimizer.power == 2 else 1.0)
    return {s.name: s.sgd if optimizer.power == 2 else s.adam for s in scalings}
