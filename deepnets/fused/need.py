"""Count the bytes that training by the fused kernels takes, from the sizes of their arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from deepnets.fused.layouts import build_layout
from deepnets.fused.stream import BLOCK, KEPT

if TYPE_CHECKING:
    from deepnets.training import Recipe

NUMBER, WIDE = 4, 8      # bytes of float32 and float64


def count_bytes(module: nn.Module, recipe: Recipe, evaluated: bool = True) -> tuple[int, int]:
    """Return the bytes for each run, and once for all runs, at the peak.

    Parameters
    ----------
    module : holds theta_0.
    recipe : how it is trained.
    evaluated : whether held-out samples are counted.
    """
    from deepnets.training import held_out

    layout, steps, B, workers = build_layout(module), len(recipe.factors) + 1, recipe.batch_size, torch.get_num_threads()
    run = NUMBER * len(layout.theta_0) * (1 + recipe.optimizer.memories) + WIDE * steps * 2 + NUMBER * BLOCK

    def count_samples(rows: int, at_once: int) -> int:
        """Return the bytes of samples as they are drawn, and of those `at_once` in the layout and of their values at theta_0."""
        drawn = layout.sizes[0] + layout.sizes[-1]
        return NUMBER * (2 * rows * drawn + at_once * (layout.lead[0] + layout.lead[-1] + layout.activations))

    stream = min(KEPT, NUMBER * steps * B * (layout.sizes[0] + layout.sizes[-1]))
    shared = NUMBER * workers * layout.count_scratch(B) + count_samples(BLOCK * B, layout.count_steps(B) * B) + stream
    if evaluated:
        parts = held_out(recipe, torch.zeros(())).parts
        rows = len(parts) * len(parts[0][1])
        shared += count_samples(rows, rows) + NUMBER * workers * layout.count_scratch(len(parts[0][1]))
    return run, shared
