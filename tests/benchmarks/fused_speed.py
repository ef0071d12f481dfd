"""How much faster the fused kernels train MLPs than torch's stack: ratios of times taken in turn; run it from the repository's root.

    python -m tests.benchmarks.fused_speed

64 runs of an MLP 64-N-N-10 with MSE and SGD, batch B, in stacks of 32 for torch; microseconds a run-step, the best of three.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch

from deepnets import MLP, DeepExperiment, tasks
from deepnets.training import train

GOALS = {(16, 16): 15, (32, 32): 8, (64, 32): 6, (64, 128): 3, (128, 128): 2.4, (256, 128): 2}
RUNS, AT_ONCE = 64, 32


def compare(width: int, batch: int) -> dict[str, float]:
    """Return microseconds a run-step of each engine."""
    steps = max(25, 2000 * 16 * 16 // (width * batch))
    made = DeepExperiment(MLP(64, width, 3, 10), tasks.digits(), steps=steps, batch_size=batch, device="cpu")
    module = made.theta_0(0)
    recipe, gamma = made.recipe(module), np.logspace(-5, 0, RUNS)
    best = {"fused": np.inf, "stack": np.inf}
    train(module, recipe.choose_stack(module), recipe, gamma[:1], gamma[:1]**2, 0)      # compiles
    for _ in range(3):
        for engine in best:
            chosen = replace(recipe, engine="auto" if engine == "fused" else engine)
            pieces = 1 if engine == "fused" else RUNS // AT_ONCE
            before = time.perf_counter()
            for g in np.array_split(gamma, pieces):
                train(module, chosen.choose_stack(module), chosen, g, 0.1 * g**2, 0)
            best[engine] = min(best[engine], (time.perf_counter() - before) / RUNS / steps * 1e6)
    return best


def main() -> None:
    """Print the table."""
    print(f"{torch.get_num_threads()} threads\n| N, B | torch | fused | ratio | goal |\n|---|---|---|---|---|")
    for (width, batch), goal in GOALS.items():
        best = compare(width, batch)
        ratio = best["stack"] / best["fused"]
        print(f"| {width}, {batch} | {best['stack']:.3g} | {best['fused']:.3g} | {ratio:.1f} | {goal} |", flush=True)


if __name__ == "__main__":
    main()
