"""Count the bytes that training by the fused kernels takes, from the sizes of their arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from deepnets.fused.layout import Layout
from deepnets.fused.stream import BLOCK, KEPT
from deepnets.networks.mlp import StackOfLayers

if TYPE_CHECKING:
    from deepnets.training import Recipe

NUMBER, WIDE = 4, 8      # bytes of float32 and float64


def count_bytes(module: StackOfLayers, recipe: Recipe, evaluated: bool = True) -> tuple[int, int]:
    """Return the bytes for each run, and once for all runs, at the peak.

    Parameters
    ----------
    module : holds theta_0.
    recipe : how it is trained.
    evaluated : whether held-out samples are counted.
    """
    from deepnets.training import held_out

    layout, steps, B, workers = Layout(module), len(recipe.factors) + 1, recipe.batch_size, torch.get_num_threads()
    run = NUMBER * len(layout.theta_0) * (1 + recipe.optimizer.memories) + WIDE * steps * 2 + NUMBER * BLOCK

    def count_samples(rows: int) -> int:
        """Return the bytes of samples as they are drawn and in the layout, and of their values at theta_0."""
        drawn = layout.sizes[0] + layout.sizes[-1]
        return NUMBER * rows * (2 * drawn + layout.lead[0] + layout.lead[-1] + layout.activations)

    stream = min(KEPT, NUMBER * steps * B * (layout.sizes[0] + layout.sizes[-1]))
    shared = NUMBER * workers * layout.count_scratch(B) + count_samples(BLOCK * B) + stream
    if evaluated:
        parts = held_out(recipe, torch.zeros(())).parts
        shared += count_samples(len(parts) * len(parts[0][1])) + NUMBER * workers * layout.count_scratch(len(parts[0][1]))
    return run, shared
