"""A stack of runs trained as one batch: same theta_0, same stream, each its own gamma and eta; knows no portrait.

A run that has diverged never touches another; it is taken out of the stack when enough have. One whose units are all off stays: that
no sample of one batch reaches it does not say that none will.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from deepnets.batched.stack import Stack
from deepnets.batched.state import Parameters, RunningStatistics, zero_differences
from deepnets.held_out import HeldOut
from deepnets.losses import Loss
from deepnets.optimizers import Optimizer
from deepnets.tasks import Task
from deepnets.tasks.task import check_batch, draw_batch, place_like

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
    dead : (H, P), whether the network's output was constant at each of the recipe's horizons.
    accuracy : (H, P), on the task's held-out samples; NaN where it had diverged, or where there are no classes.
    held_out : (C, P), the loss on these after the recipe's steps of curves; NaN where the run had left the stack.
    """

    losses: np.ndarray
    at_rest: np.ndarray
    dead: np.ndarray
    accuracy: np.ndarray
    held_out: np.ndarray


@dataclass(frozen=True)
class Recipe:
    """How a stack is trained.

    Attributes
    ----------
    task, loss, optimizer : see their rooms.
    factors : (T,), the schedule.
    rates : by parameter name, the rate over eta.
    batch_size : samples a step.
    horizons : increasing numbers of steps after which runs are judged, the last T; None: T alone.
    curves : increasing numbers of steps, at most T, after which the loss on held-out samples is told.
    """

    task: Task
    loss: Loss
    optimizer: Optimizer
    factors: np.ndarray
    rates: dict[str, float]
    batch_size: int
    horizons: tuple[int, ...] | None = None
    curves: tuple[int, ...] = ()

    @property
    def judged_at(self) -> tuple[int, ...]:
        """The horizons."""
        return (len(self.factors),) if self.horizons is None else self.horizons


Watcher = Callable[[int, Parameters, torch.Tensor, RunningStatistics, np.ndarray], None]


@torch.no_grad()
def train(module: nn.Module, stack: Stack, recipe: Recipe, gamma: np.ndarray, eta: np.ndarray, seed: int,
          watcher: Watcher | None = None) -> Trained:
    """Train P runs and return what became of them.

    Parameters
    ----------
    module : holds theta_0, and says dtype and device.
    stack : of that module.
    gamma, eta : (P,).
    seed : of the stream.
    watcher : called before every step, and after the last, with the steps taken, u, gamma and running statistics of the runs that are
        still in the stack, and which these are; it may change none of them, nor the state of random numbers.
    """
    steps, runs, optimizer = len(recipe.factors), len(gamma), recipe.optimizer
    reference = next(module.parameters())
    u, running = zero_differences(module, runs), RunningStatistics.of_module(module, runs)
    memory = {n: [torch.zeros_like(d) for _ in range(optimizer.memories)] for n, d in u.items()}
    alive = np.arange(runs)
    losses = np.full((steps + 1, runs), np.nan)
    resting = np.full(steps + 1, np.nan)
    looks = _Looks(module, stack, recipe, held_out(recipe, reference), runs)
    g, rate = _scales(gamma, eta, optimizer, reference)
    kept: list[torch.Tensor] = []
    still: list[torch.Tensor] = []
    for step in range(steps + 1):
        if step in looks.at:
            _draw_as_of(stack, seed, step)
            looks.look(step, u, g, running, alive)
        if watcher is not None:
            watcher(step, u, g, running, alive)
        x, y = batch(recipe, seed, step, reference)
        still.append(_resting(recipe, y, reference))
        _draw_as_of(stack, seed, step)
        value, gradient = stack.gradients(u, g, x, y, recipe.loss, running)
        kept.append(value)
        if (step + 1) % LOOK_EVERY == 0 or step in recipe.judged_at:
            losses[step + 1 - len(kept):step + 1, alive] = torch.stack(kept).double().cpu().numpy()
            resting[step + 1 - len(still):step + 1] = torch.stack(still).double().cpu().numpy()
            kept, still = [], []
            gone = diverged(u, g, value)
            losses[step, alive[gone]] = np.nan
            if gone.all():
                resting[step + 1:] = resting[step]
                break
            if step < steps and gone.mean() >= WORTH_LEAVING:
                stay = torch.from_numpy(np.flatnonzero(~gone)).to(reference.device)
                alive = alive[~gone]
                u, gradient = ({n: d[stay] for n, d in held.items()} for held in (u, gradient))
                memory = {n: [m[stay] for m in held] for n, held in memory.items()}
                g, rate, running = g[stay], rate[stay], running.select_runs(stay)
        if step < steps:
            for n, d in u.items():
                moved = optimizer.direction(gradient.pop(n), memory[n], step)     # let go before the next ones are made
                by = rate * (recipe.rates[n] * float(recipe.factors[step]))
                d.addcmul_(moved, by.reshape(-1, *[1] * (d.ndim - 1)), value=-1)
    return Trained(losses, resting, looks.dead, looks.accuracy, looks.held_out)


class _Looks:
    """What is told of runs on held-out samples, at horizons and along curves; of those that have left the stack, nothing."""

    def __init__(self, module: nn.Module, stack: Stack, recipe: Recipe, samples: HeldOut, runs: int) -> None:
        self.module, self.stack, self.recipe, self.samples = module, stack, recipe, samples
        self.at = {*recipe.judged_at, *recipe.curves}
        self.dead = np.zeros((len(recipe.judged_at), runs), bool)
        self.accuracy = np.full(self.dead.shape, np.nan)
        self.held_out = np.full((len(recipe.curves), runs), np.nan)

    def look(self, step: int, u: Parameters, gamma: torch.Tensor, running: RunningStatistics, alive: np.ndarray) -> None:
        """Look at the runs `alive` after so many steps."""
        horizons, curves = self.recipe.judged_at, self.recipe.curves
        if step in curves or self.samples.labels is not None:
            loss, accuracy = self.samples.told(self.stack, u, gamma, running, self.recipe.loss)
            if step in curves:
                self.held_out[curves.index(step), alive] = loss.cpu().numpy()
            if step in horizons:
                self.accuracy[horizons.index(step), alive] = accuracy.cpu().numpy()
        if step in horizons:
            self.dead[horizons.index(step), alive] = self.samples.dead(self.module, u, gamma, running).numpy()


def _draw_as_of(stack: Stack, seed: int, step: int) -> None:
    """Let what a stack draws (dropout) depend on (seed, step) alone."""
    if stack.draws:
        torch.manual_seed((seed * 1_000_003 + step) % 2**63)


def batch(recipe: Recipe, seed: int, step: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the step's inputs and targets, as `Loss.target` gives them, of the dtype and on the device of `like`.

    Raises
    ------
    Misuse : targets that are none of this task's.
    """
    x, y = draw_batch(recipe.task, seed, step, recipe.batch_size)
    return place_like(x, like), _target(recipe, y, like)


def held_out(recipe: Recipe, like: torch.Tensor) -> HeldOut:
    """Return the task's held-out samples, of the dtype and on the device of `like`.

    Raises
    ------
    Misuse : targets that are none of this task's.
    """
    x, y = check_batch(recipe.task, recipe.task.held_out(), "held_out()")
    labels = None
    if recipe.task.classes is not None:
        labels = (y.argmax(-1) if y.is_floating_point() else y).to(like.device)
    return HeldOut(place_like(x, like), _target(recipe, y, like), labels, recipe.batch_size)


def _target(recipe: Recipe, y: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return place_like(recipe.loss.target(y, recipe.task.out_features, like.dtype), like)


def _resting(recipe: Recipe, y: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return the loss of the zero output."""
    shape = y.shape if y.is_floating_point() else (*y.shape, recipe.task.out_features)
    return recipe.loss.value(like.new_zeros(()).expand(shape), y)


def _scales(gamma: np.ndarray, eta: np.ndarray, optimizer: Optimizer, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return gamma and the rate in u, eta/gamma**power; both (P,). A rate beyond the dtype's range is its largest number."""
    most = torch.finfo(like.dtype).max
    with np.errstate(over="ignore", divide="ignore"):
        rate = np.minimum(eta / gamma**optimizer.power, most / 1e6)
    return tuple(torch.tensor(v, dtype=like.dtype, device=like.device) for v in (gamma, rate))     # type: ignore[return-value]


def diverged(u: Parameters, gamma: torch.Tensor, value: torch.Tensor) -> np.ndarray:
    """Return which runs have a loss that is not finite, or a parameter beyond 1e30 (or not finite)."""
    largest = torch.stack([d.flatten(1).abs().amax(1) for d in u.values()]).amax(0)
    return (~torch.isfinite(value) | ~(largest.double() * gamma.double() <= TOO_FAR)).cpu().numpy()


def rates(scalings: Any, optimizer: Optimizer, names: list[str], width: int | None = None) -> dict[str, float]:
    """Return each parameter's rate over eta.

    Parameters
    ----------
    scalings : of a specification; None: a module of one's own, whose tensors are all alike.
    names : the parameters'.
    width : the N of the rate N eta, in place of the scalings' own, and of 1 without them; None: those. SignSGD's and Adam's know no N.
    """
    if scalings is None:
        return dict.fromkeys(names, float(width) if width is not None and optimizer.power == 2 else 1.0)
    if optimizer.power != 2:
        return {s.name: s.adam for s in scalings}
    own = rate_width(scalings)
    return {s.name: s.sgd * (own if width is None else width) / own for s in scalings}


def rate_width(scalings: Any) -> int:
    """Return the N of a specification's rate N eta: the largest of its rates over eta, as none but a readout's bias has another."""
    return int(max(s.sgd for s in scalings))
