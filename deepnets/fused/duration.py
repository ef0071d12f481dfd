"""Estimate how long the fused kernels train, from the operations of their padded products."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from deepnets.fused.engine import choose_engine

if TYPE_CHECKING:
    from deepnets.experiment import DeepExperiment

# of a core with AVX2: operations per second of the products, seconds of a layer beside them, of one number of an optimizer with memory, and
# seconds to draw a batch
PRODUCTS, LAYER, UPDATE, BATCH = 7e10, 1.5e-7, 4e-10, 1.2e-4


def estimate_seconds(experiment: DeepExperiment, runs: int) -> float | None:
    """Return the seconds of training `runs` runs of one seed on this machine's threads, or None where the kernels do not train them.

    Runs that diverge end early: a plane takes less.
    """
    module = experiment.theta_0(experiment.seeds[0])
    recipe = experiment.recipe(module)
    if choose_engine(module, recipe.choose_stack(module), recipe) != "fused":
        return None
    from deepnets.fused.layouts import build_layout  # needs numba, which the kernels have

    layout, cores = build_layout(module), torch.get_num_threads()
    step, frozen = layout.count_operations(recipe.batch_size)
    run = step / PRODUCTS + LAYER * len(layout.shape) + (recipe.optimizer.name != "sgd") * UPDATE * len(layout.theta_0)
    return float(len(recipe.factors) * (BATCH + frozen / PRODUCTS / cores + run * runs / min(cores, runs)))
