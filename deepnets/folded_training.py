"""Train a stack of MLPs by SGD with folded products: the counterpart of `deepnets.training.train` on a GPU.

Results of the two are equal up to rounding. The host waits for the device where runs are compared with the largest parameter allowed, and
nowhere else. The 25 steps between, of a small stack, are recorded as one CUDA graph and replayed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch

from deepnets.batched.folded_step import take_step
from deepnets.batched.mlp_stack import MLPStack
from deepnets.batched.rectified_pairs import choose_rectifier
from deepnets.batched.replay import Replay, Step, pays
from deepnets.batched.state import find_finite, reference_tensor, zero_differences
from deepnets.centered.functional import refuse_other_parameters
from deepnets.training import (
    CHECK_EVERY,
    DROP_SHARE,
    Evaluations,
    TrainingResult,
    batch,
    compute_zero_output_loss,
    held_out,
    scale_rates,
)

if TYPE_CHECKING:
    from deepnets.networks.mlp import StackOfLayers
    from deepnets.training import Recipe, Watcher


def list_chunks(recipe: Recipe, watched: Collection[int]) -> list[tuple[int, int]]:
    """Return the steps at which chunks begin and end: where runs are compared, evaluated or watched, and before the last loss."""
    steps = len(recipe.factors)
    judged = {*recipe.judged_at, *(h + 1 for h in recipe.judged_at)}
    return list(pairwise(sorted({*judged, *recipe.curves, *watched, *range(0, steps, CHECK_EVERY), steps, steps + 1})))


def train_by_folded_products(module: StackOfLayers, stack: MLPStack, recipe: Recipe, gamma: np.ndarray, eta: np.ndarray, seed: int,
                             watcher: Watcher | None = None, watched: Collection[int] | None = None) -> TrainingResult:
    """Train P runs and return their results; parameters as of `deepnets.training.train`."""
    steps, runs, reference = len(recipe.factors), len(gamma), reference_tensor(module)
    u, running, alive = zero_differences(module, runs), stack.start(runs), np.arange(runs)
    losses, zero_losses = np.full((steps + 1, runs), np.nan), np.full(steps + 1, np.nan)
    evaluations = Evaluations(module, stack, recipe, held_out(recipe, reference), runs)
    g, rate = scale_rates(gamma, eta, recipe.optimizer, reference)
    watched = () if watcher is None else range(steps + 1) if watched is None else watched
    rectify = choose_rectifier(reference)
    recent: list[torch.Tensor] = []      # since the last comparison, (steps, P) each
    recent_zero: list[torch.Tensor] = []

    def draw(step: int) -> Step:
        x, y = batch(recipe, seed, step, reference)
        recent_zero.append(compute_zero_output_loss(recipe, y, reference))
        return x, y, rate * float(recipe.factors[step])

    def take_steps(chunk: Iterable[Step], count: int) -> tuple[torch.Tensor, ...]:
        """Return the losses (count, P), and which runs were finite before the last step."""
        values, finite = [], None
        for i, (x, y, by) in enumerate(chunk, start=1):
            finite = find_finite(u, g) if i == count else None
            values.append(take_step(stack, u, g, x, y, recipe.loss, by, recipe.rates, rectify))
        assert finite is not None
        return torch.stack(values), finite

    def make_replay(replayed: int) -> Replay:
        numbers = sum(d.numel() for d in u.values()) + len(alive) * recipe.batch_size * sum(len(layer.weight) for layer in stack.layers)
        small = recipe.loss.closed_form and pays(reference, numbers)
        return Replay(take_steps, CHECK_EVERY, reference.device, small, replayed)

    replay = make_replay(0)
    for start, stop in list_chunks(recipe, watched):
        if start in evaluations.steps:
            evaluations.record(start, u, g, running, alive)
        if watcher is not None and start in watched:
            watcher(start, u, g, running, alive)
        if start < steps:
            values, finite = replay(map(draw, range(start, stop)), stop - start)
        else:      # the last loss, without a step
            x, y = batch(recipe, seed, start, reference)
            recent_zero.append(compute_zero_output_loss(recipe, y, reference))
            values, finite = recipe.loss.value(stack.outputs(u, g, x, running), y)[None], find_finite(u, g)
        recent.append(values)
        if stop % CHECK_EVERY and stop - 1 not in recipe.judged_at:
            continue
        begin = stop - len(recent_zero)
        losses[begin:stop, alive] = torch.cat(recent).double().cpu().numpy()
        zero_losses[begin:stop] = torch.stack(recent_zero).double().cpu().numpy()
        diverged = (~torch.isfinite(values[-1]) | ~finite).cpu().numpy()
        losses[stop - 1, alive[diverged]] = np.nan
        recent, recent_zero = [], []
        if diverged.all():
            zero_losses[stop:] = zero_losses[stop - 1]
            break
        if stop <= steps and diverged.mean() >= DROP_SHARE:
            stay = torch.from_numpy(np.flatnonzero(~diverged)).to(reference.device)
            alive = alive[~diverged]
            u, g, rate, running = {n: d[stay] for n, d in u.items()}, g[stay], rate[stay], running.select_runs(stay)
            replay = make_replay(replay.replayed)
    refuse_other_parameters(module, u)
    return TrainingResult(losses, zero_losses, evaluations.dead, evaluations.accuracy, evaluations.held_out, replay.replayed)
