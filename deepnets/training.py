"""Train a stack of runs together: same theta_0, same stream of batches, each run with its own gamma and eta.

A diverged run never affects another; diverged runs are dropped from the stack once they make up an eighth of it. A run whose units are
all inactive is kept: a later batch may activate them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from deepnets.batched.copies_stack import Copies
from deepnets.batched.stack import Stack, choose_stack
from deepnets.batched.state import Parameters, RunningStatistics, find_finite, real_parameters, reference_tensor, zero_differences
from deepnets.centered.functional import refuse_other_parameters
from deepnets.centered.random_state import seed_torch
from deepnets.fused.engine import choose_engine
from deepnets.held_out import HeldOut
from deepnets.losses import Loss
from deepnets.networks.parametrization import Scaling
from deepnets.optimizers import Optimizer
from deepnets.optimizers.protocol import clip_gradient, decay_weights
from deepnets.tasks import Task
from deepnets.tasks.task import check_batch, draw_batch, place_like

CHECK_EVERY = 25         # steps between checks for diverged runs
DROP_SHARE = 1 / 8       # of the stack: when so many have diverged, the others are packed anew


@dataclass(frozen=True)
class TrainingResult:
    """The results of P runs of T steps.

    Attributes
    ----------
    losses : (T + 1, P), float64: before every step, and after the last; not finite from where a run diverged.
    zero_output_loss : (T + 1,), the loss of the zero output on the same batches.
    dead : (H, P), whether the network's output was constant at each of the recipe's horizons.
    accuracy : (H, P), on the task's held-out samples; NaN for diverged runs, and where there are no classes.
    held_out : (C, P), the loss on the held-out samples after the recipe's `curves`; NaN for runs that had been dropped.
    replayed : how many of the steps ran from a CUDA graph.
    """

    losses: np.ndarray
    zero_output_loss: np.ndarray
    dead: np.ndarray
    accuracy: np.ndarray
    held_out: np.ndarray
    replayed: int = 0


@dataclass(frozen=True)
class Recipe:
    """How a stack is trained.

    Attributes
    ----------
    task, loss, optimizer : see `deepnets.tasks`, `deepnets.losses`, `deepnets.optimizers`.
    factors : (T,), the schedule's factors of eta.
    rates : each parameter's rate over eta, by name.
    batch_size : samples a step.
    horizons : increasing numbers of steps after which runs are judged, the last T; None: T alone.
    curves : increasing numbers of steps, at most T, after which the loss on held-out samples is recorded.
    held_out_samples : how many are evaluated at once; None: see `deepnets.held_out.HeldOut`.
    method, centred, drawn : of the stack, as of `deepnets.batched.stack.choose_stack`.
    engine : "auto"; "stack" for the stack of torch alone, "folded" for folded products on a CPU as well; see `deepnets.fused.engine`.
    """

    task: Task
    loss: Loss
    optimizer: Optimizer
    factors: np.ndarray
    rates: dict[str, float]
    batch_size: int
    horizons: tuple[int, ...] | None = None
    curves: tuple[int, ...] = ()
    held_out_samples: int | None = None
    method: str = "pairs"
    centred: bool = True
    drawn: torch.dtype = torch.float64
    engine: str = "auto"

    def choose_stack(self, module: nn.Module, compile: bool | str = False) -> Stack:
        """Return the stack that trains runs of a module, as of `deepnets.batched.stack.choose_stack`."""
        return choose_stack(module, compile, self.method, self.centred, self.drawn, len(self.factors) + 1)

    @property
    def judged_at(self) -> tuple[int, ...]:
        """The horizons."""
        return (len(self.factors),) if self.horizons is None else self.horizons


Watcher = Callable[[int, Parameters, torch.Tensor, RunningStatistics, np.ndarray], None]


@torch.no_grad()
def train(module: nn.Module, stack: Stack, recipe: Recipe, gamma: np.ndarray, eta: np.ndarray, seed: int,
          watcher: Watcher | None = None, watched: Collection[int] | None = None) -> TrainingResult:
    """Train P runs and return their results; by fused kernels or folded products where `deepnets.fused.engine.choose_engine` says so.

    Parameters
    ----------
    module : holds theta_0; u has its dtype and device.
    stack : of that module.
    gamma, eta : (P,).
    seed : of the stream of batches.
    watcher : called before every step and after the last, with the number of steps taken, u, gamma and running statistics of the runs
        in the stack, and their indices; it must change none of them, nor the state of the random number generators.
    watched : the steps before which the watcher needs to be called; None: all.
    """
    engine = choose_engine(module, stack, recipe)
    if engine == "fused":
        from deepnets.fused.trainer import train_by_kernels

        return train_by_kernels(module, stack, recipe, gamma, eta, seed, watcher, watched)      # type: ignore[arg-type]
    if engine == "folded":
        from deepnets.folded_training import train_by_folded_products

        return train_by_folded_products(module, stack, recipe, gamma, eta, seed, watcher, watched)      # type: ignore[arg-type]
    # one of the user's may keep numbers of its own: every stack begins with those that it was given with
    steps, runs, optimizer = len(recipe.factors), len(gamma), copy.deepcopy(recipe.optimizer)
    reference = reference_tensor(module)
    u, running = zero_differences(module, runs), stack.start(runs)
    memory = {n: [torch.zeros_like(d) for _ in range(optimizer.memories)] for n, d in u.items()}
    alive = np.arange(runs)
    losses = np.full((steps + 1, runs), np.nan)
    zero_losses = np.full(steps + 1, np.nan)
    evaluations = Evaluations(module, stack, recipe, held_out(recipe, reference), runs)
    g, rate = scale_rates(gamma, eta, optimizer, reference)
    theta_0, decay = real_parameters(module), _as_rates(eta * optimizer.weight_decay, reference)
    recent: list[torch.Tensor] = []          # since the last check, (P,) each
    recent_zero: list[torch.Tensor] = []
    for step in range(steps + 1):
        if step in evaluations.steps:
            _seed_draws(stack, seed, step)
            evaluations.record(step, u, g, running, alive)
        if watcher is not None:
            watcher(step, u, g, running, alive)
        x, y = batch(recipe, seed, step, reference)
        recent_zero.append(compute_zero_output_loss(recipe, y, reference))
        _seed_draws(stack, seed, step)
        value, gradient = stack.gradients(u, g, x, y, recipe.loss, running)
        recent.append(value)
        if (step + 1) % CHECK_EVERY == 0 or step in recipe.judged_at:
            losses[step + 1 - len(recent):step + 1, alive] = torch.stack(recent).double().cpu().numpy()
            zero_losses[step + 1 - len(recent):step + 1] = torch.stack(recent_zero).double().cpu().numpy()
            recent, recent_zero = [], []
            diverged = find_divergence(u, g, value)
            losses[step, alive[diverged]] = np.nan
            if diverged.all():
                zero_losses[step + 1:] = zero_losses[step]
                break
            if step < steps and diverged.mean() >= DROP_SHARE:
                stay = torch.from_numpy(np.flatnonzero(~diverged)).to(reference.device)
                alive = alive[~diverged]
                u, gradient = ({n: d[stay] for n, d in tensors.items()} for tensors in (u, gradient))
                memory = {n: [m[stay] for m in tensors] for n, tensors in memory.items()}
                g, rate, decay, running = g[stay], rate[stay], decay[stay], running.select_runs(stay)
        if step < steps:
            if optimizer.clip is not None:
                clip_gradient(gradient, g, optimizer.clip)
            for n, d in u.items():
                if optimizer.weight_decay:
                    decay_weights(d, theta_0[n], g, decay * float(recipe.factors[step]), optimizer.decay_to)
                moved = optimizer.direction(gradient.pop(n), memory[n], step)     # freed before the next is computed
                by = rate * (recipe.rates[n] * float(recipe.factors[step]))
                d.addcmul_(moved, by.reshape(-1, *[1] * (d.ndim - 1)), value=-1)
    for network in (module, *(running.moved if isinstance(running, Copies) else ())):
        refuse_other_parameters(network, u)
    return TrainingResult(losses, zero_losses, evaluations.dead, evaluations.accuracy, evaluations.held_out)


class Evaluations:
    """Results on held-out samples, at horizons and along curves; those of dropped runs stay blank."""

    def __init__(self, module: nn.Module, stack: Stack, recipe: Recipe, samples: HeldOut, runs: int) -> None:
        self.module, self.stack, self.recipe, self.samples = module, stack, recipe, samples
        self.steps = {*recipe.judged_at, *recipe.curves}
        self.dead = np.zeros((len(recipe.judged_at), runs), bool)
        self.accuracy = np.full(self.dead.shape, np.nan)
        self.held_out = np.full((len(recipe.curves), runs), np.nan)

    def record(self, step: int, u: Parameters, gamma: torch.Tensor, running: RunningStatistics, alive: np.ndarray) -> None:
        """Evaluate the runs `alive` after so many steps."""
        horizons, curves = self.recipe.judged_at, self.recipe.curves
        if step in curves or self.samples.labels is not None:
            loss, accuracy = self.samples.evaluate(self.stack, u, gamma, running, self.recipe.loss)
            if step in curves:
                self.held_out[curves.index(step), alive] = loss.cpu().numpy()
            if step in horizons:
                self.accuracy[horizons.index(step), alive] = accuracy.cpu().numpy()
        if step in horizons:
            self.dead[horizons.index(step), alive] = self.samples.find_dead(self.module, u, gamma, running).numpy()


def _seed_draws(stack: Stack, seed: int, step: int) -> None:
    """Make a stack's random draws (dropout) depend on (seed, step) alone."""
    if stack.draws:
        seed_torch((seed * 1_000_003 + step) % 2**63)


def batch(recipe: Recipe, seed: int, step: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the step's inputs and targets (see `Loss.target`), of the dtype and on the device of `like`.

    Raises
    ------
    Misuse : targets that do not fit the task.
    """
    x, y = draw_batch(recipe.task, seed, step, recipe.batch_size, recipe.loss)
    return place_like(x, like), _target(recipe, y, like)


def held_out(recipe: Recipe, like: torch.Tensor) -> HeldOut:
    """Return the task's held-out samples, of the dtype and on the device of `like`.

    Raises
    ------
    Misuse : targets that do not fit the task.
    """
    x, y = check_batch(recipe.task, recipe.task.held_out(), "held_out()", recipe.loss)
    labels = None
    if recipe.task.classes is not None:
        labels = (y.argmax(-1) if y.is_floating_point() else y).to(like.device)
        if recipe.loss.outputs is not None and labels.shape[1:] != recipe.loss.outputs[:-1]:
            labels = None      # several labels of one sample: the largest output is not one of them
    return HeldOut(place_like(x, like), _target(recipe, y, like), labels, recipe.batch_size, recipe.held_out_samples,
                   recipe.loss.ignore_index)


def _target(recipe: Recipe, y: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return place_like(recipe.loss.target(y, recipe.task.out_features, like.dtype), like)


def compute_zero_output_loss(recipe: Recipe, y: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return the loss of the zero output."""
    shape = y.shape if y.is_floating_point() else (*y.shape, recipe.task.out_features)
    if recipe.loss.outputs is not None:
        shape = (len(y), *recipe.loss.outputs)
    return recipe.loss.value(like.new_zeros(()).expand(shape), y)


def scale_rates(gamma: np.ndarray, eta: np.ndarray, optimizer: Optimizer, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return gamma and the rate in u, eta/gamma**power; both (P,)."""
    with np.errstate(over="ignore", divide="ignore"):
        rate = eta / gamma**optimizer.power
    return torch.tensor(gamma, dtype=like.dtype, device=like.device), _as_rates(rate, like)


def _as_rates(rate: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    """Return rates of the runs, (P,), each at most 1e-6 of the dtype's largest number."""
    return torch.tensor(np.minimum(rate, torch.finfo(like.dtype).max / 1e6), dtype=like.dtype, device=like.device)


def find_divergence(u: Parameters, gamma: torch.Tensor, value: torch.Tensor) -> np.ndarray:
    """Return which runs have a loss that is not finite, or a parameter beyond 1e30 (or not finite)."""
    return (~torch.isfinite(value) | ~find_finite(u, gamma)).cpu().numpy()


def parameter_rates(scalings: Sequence[Scaling] | None, optimizer: Optimizer, names: list[str],
                    width: int | None = None) -> dict[str, float]:
    """Return each parameter's rate over eta.

    Parameters
    ----------
    scalings : of a specification; None: a user-defined module, whose parameters all have the same rate.
    names : of the parameters.
    width : the N of the rate N eta; None: that of the scalings, 1 without them. SignSGD's and Adam's rates do not scale with N.
    """
    if scalings is None:
        return dict.fromkeys(names, float(width) if width is not None and optimizer.power == 2 else 1.0)
    if optimizer.power != 2:
        return {s.name: s.adam for s in scalings}
    own = rate_width(scalings)
    return {s.name: s.sgd * (own if width is None else width) / own for s in scalings}


def rate_width(scalings: Sequence[Scaling]) -> int:
    """Return the N of a specification's rate N eta: its largest rate over eta, since only a readout's bias has another."""
    return int(max(s.sgd for s in scalings))
