"""Train a stack of MLPs or CNNs by the fused kernels: the counterpart of `deepnets.training.train`, with the same results up to rounding.

Every run goes through a chunk of steps by itself, on one of the threads. Chunks end where runs are compared with the largest parameter
allowed, evaluated, or watched, as the reference does it. A run that has diverged is trained no further.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from deepnets.batched.stack import Stack
from deepnets.centered.functional import refuse_other_parameters
from deepnets.fused.layout import allocate
from deepnets.fused.layouts import build_layout
from deepnets.fused.samples import Samples
from deepnets.fused.steps import KINDS, limit_rates, list_factors, list_rates, list_scalars
from deepnets.fused.stream import Stream
from deepnets.training import CHECK_EVERY, TrainingResult, held_out

if TYPE_CHECKING:
    from deepnets.training import Recipe, Watcher


class Runs:
    """P runs of a recipe in the kernels' layout, and what they have been found to be.

    Attributes
    ----------
    alive : (P,), those that have not diverged.
    u : (P, size), the differences from theta_0.
    losses : (T + 1, P), as of `TrainingResult`.
    """

    def __init__(self, module: nn.Module, recipe: Recipe, gamma: np.ndarray, eta: np.ndarray) -> None:
        optimizer, runs = recipe.optimizer, len(gamma)
        self.layout, self.recipe, self.gamma = build_layout(module), recipe, gamma.astype(np.float32)
        self.alive = np.ones(runs, bool)
        self.u = allocate(runs, len(self.layout.theta_0))
        self.first, self.second = (allocate(*(self.u.shape if optimizer.memories > i else (1, 1))) for i in range(2))
        with np.errstate(over="ignore", divide="ignore"):
            self.base = limit_rates(eta / gamma**optimizer.power)
        self.amounts = limit_rates(eta * optimizer.weight_decay)
        self.losses = np.full((len(recipe.factors) + 1, runs), np.nan)
        self.workers = max(1, min(torch.get_num_threads(), runs))
        self.scratch = [self.layout.make_scratch(recipe.batch_size) for _ in range(self.workers)]
        self.at_once = self.layout.count_steps(recipe.batch_size)
        self.z_0 = allocate(self.at_once, recipe.batch_size * self.layout.activations)

    def train(self, spread: Callable[[Callable[[int], None]], None], x: np.ndarray, y: np.ndarray, start: int, checks: bool) -> None:
        """Train the runs that are alive on the batches x (T, B, D), y (T, B, K) of the steps from `start`.

        Parameters
        ----------
        spread : calls a function of 0, 1, ... on the workers.
        checks : whether parameters are compared with the largest allowed at the last of the steps.
        """
        if len(x) > self.at_once:
            for first in range(0, len(x), self.at_once):
                part = slice(first, first + self.at_once)
                self.train(spread, x[part], y[part], start + first, checks and part.stop >= len(x))
            return
        layout, recipe, stop = self.layout, self.recipe, start + len(x)
        x, targets, which = layout.pad_inputs(x), layout.pad_targets(y), np.flatnonzero(self.alive)
        losses = np.full((len(self.u), len(x)), np.nan, np.float32)
        z_0, tables, kernels = self.z_0[:len(x)], layout.tables(recipe.batch_size), layout.kernels
        kind, entropy, to_origin = KINDS[recipe.optimizer.name], recipe.loss.name == "cross_entropy", recipe.optimizer.decay_to == "origin"
        numbers, factors = list_scalars(recipe, start, stop), list_factors(recipe, start, stop)
        rates, last = list_rates(recipe, layout.names, start, stop), len(recipe.factors) - start

        def freeze(i: int) -> None:
            kernels.freeze(i, self.workers, tables, x, z_0, layout.unit, self.scratch[i])

        def train(i: int) -> None:
            kernels.train_runs(i, self.workers, which, tables, x, z_0, targets, y.shape[2], layout.unit, entropy, kind,
                               self.gamma, self.base, rates, numbers, self.amounts, factors, to_origin, self.u, self.first, self.second,
                               checks, losses, last, self.scratch[i])

        spread(freeze)
        spread(train)
        self.losses[start:stop, which] = losses[which].T
        self.alive[which] = np.isfinite(losses[which, -1])

    def read_parameters(self) -> dict[str, torch.Tensor]:
        """Return u of the runs that are alive, as stacks have it."""
        return self.layout.read(self.u[self.alive])


def train_by_kernels(module: nn.Module, stack: Stack, recipe: Recipe, gamma: np.ndarray, eta: np.ndarray, seed: int,
                watcher: Watcher | None = None, watched: Collection[int] | None = None) -> TrainingResult:
    """Train P runs and return their results; parameters as of `deepnets.training.train`."""
    steps, runs, stream = len(recipe.factors), Runs(module, recipe, gamma, eta), Stream(recipe, seed)
    zero_losses = np.full(steps + 1, np.nan)
    evaluated = {*recipe.judged_at, *recipe.curves}
    samples = Samples(runs.layout, held_out(recipe, torch.zeros(())), recipe, len(gamma))
    running = stack.start(len(gamma))
    watched = () if watcher is None else range(steps + 1) if watched is None else watched
    # the steps that a chunk begins with
    begins = np.array(sorted({0, *evaluated, *watched, *(h + 1 for h in recipe.judged_at), *range(0, steps + 1, CHECK_EVERY), steps + 1}))
    with ThreadPoolExecutor(runs.workers) as pool:
        def spread(work: Callable[[int], None]) -> None:
            _spread(pool, work, runs.workers)

        for start, stop in zip(begins[:-1].tolist(), begins[1:].tolist(), strict=True):
            if start > steps:
                break
            if start in evaluated:
                samples.evaluate(spread, runs.u, runs.gamma, runs.alive, start)
            if watcher is not None and start in watched:
                alive = np.flatnonzero(runs.alive)
                gammas, which = torch.from_numpy(runs.gamma[alive]), torch.from_numpy(alive)
                watcher(start, runs.read_parameters(), gammas, running.select_runs(which), alive)
            checks = stop % CHECK_EVERY == 0 or stop - 1 in recipe.judged_at
            block = stream.take(start, stop)
            zero_losses[start:stop] = block.zero_output_loss
            runs.train(spread, block.x, block.y, start, checks)
            if not runs.alive.any():
                zero_losses[stop:] = zero_losses[stop - 1]
                break
    refuse_other_parameters(module, {n for n, _ in module.named_parameters()})
    return TrainingResult(runs.losses, zero_losses, samples.dead, samples.accuracy, samples.held_out)


def _spread(pool: ThreadPoolExecutor, work: Callable[[int], Any], workers: int) -> None:
    """Call a function of 0, 1, ... on the workers, and wait for them."""
    if workers == 1:
        work(0)
        return
    list(pool.map(work, range(workers)))
