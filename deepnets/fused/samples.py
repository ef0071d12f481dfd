"""Held-out samples in the kernels' layout, and what runs give on them: loss, accuracy, and whether a network is dead."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from deepnets.fused.layout import allocate
from deepnets.fused.layouts import AnyLayout
from deepnets.fused.stream import as_rows
from deepnets.held_out import HeldOut

if TYPE_CHECKING:
    from deepnets.training import Recipe

WITHOUT_LABEL, NO_SAMPLE = -1, -2      # as `kernels.evaluate_runs` takes them


class Samples:
    """The results of P runs on held-out samples, at horizons and along curves; those of diverged runs stay blank.

    Attributes
    ----------
    dead, accuracy, held_out : as of `deepnets.training.TrainingResult`.
    """

    def __init__(self, layout: AnyLayout, samples: HeldOut, recipe: Recipe, runs: int) -> None:
        self.layout, self.samples, self.recipe = layout, samples, recipe
        self.dead = np.zeros((len(recipe.judged_at), runs), bool)
        self.accuracy = np.full(self.dead.shape, np.nan)
        self.held_out = np.full((len(recipe.curves), runs), np.nan)
        self.x: np.ndarray | None = None

    def _place(self) -> None:
        """Put the samples into the layout, in parts of equal size, and compute their values at theta_0."""
        parts, outputs = self.samples.parts, self.recipe.task.out_features
        rows, layout = len(parts[0][1]), self.layout
        x = np.zeros((len(parts), rows, layout.sizes[0]), np.float32)
        y = np.zeros((len(parts), rows, outputs), np.float32)
        self.labels = np.full((len(parts), rows), NO_SAMPLE)
        for i, ((inputs, targets), labels) in enumerate(zip(parts, self.samples.label_parts, strict=True)):
            n = len(targets)
            x[i, :n], y[i, :n] = inputs.flatten(1).numpy(), as_rows(targets, outputs).numpy()      # type: ignore[union-attr]
            self.labels[i, :n] = WITHOUT_LABEL if labels is None else labels.numpy()
        self.count = sum(len(targets) for _, targets in parts)
        self.x, self.y = layout.pad_inputs(x), layout.pad_targets(y)
        self.z_0 = allocate(len(parts), rows * layout.activations)
        layout.kernels.freeze(0, 1, layout.tables(rows), self.x, self.z_0, layout.unit, layout.make_scratch(rows))

    def evaluate(self, spread: Callable[[Callable[[int], None]], None], u: np.ndarray, gamma: np.ndarray, alive: np.ndarray,
                 step: int) -> None:
        """Evaluate the runs that are `alive`, (P,), after so many steps."""
        if self.x is None:
            self._place()
        layout, recipe, which, P = self.layout, self.recipe, np.flatnonzero(alive), len(alive)
        loss, hits, dead = np.full(P, np.nan), np.full(P, np.nan), np.zeros(P, bool)
        judges, entropy = step in recipe.judged_at, recipe.loss.name == "cross_entropy"
        workers, rows = max(1, min(torch.get_num_threads(), P)), self.y.shape[1]

        def work(i: int) -> None:
            layout.kernels.evaluate_runs(i, workers, which, layout.tables(rows), self.x, self.z_0, self.y, self.labels,
                                         recipe.task.out_features, layout.unit, entropy, gamma, u, loss, hits, dead, judges,
                                         layout.make_scratch(rows))

        spread(work)
        if step in recipe.curves:
            self.held_out[recipe.curves.index(step)] = loss / self.count
        if judges:
            h = recipe.judged_at.index(step)
            self.dead[h] = dead
            if self.samples.labels is not None:
                self.accuracy[h] = hits / self.count
