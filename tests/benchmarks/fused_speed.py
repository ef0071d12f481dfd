"""How fast the fused kernels train small MLPs on a CPU, as ratios to the stack of torch; run it as a script, from the repository's root.

    python -m tests.benchmarks.fused_speed [--runs 64] [--jax]

Runs 64-N-N-10, MSE, SGD, on scikit-learn's digits, at rates below the edges, on one thread. Both are measured in turn, by the processor
time of the process, best of three; the stack in pieces of 32 runs, as experiments train it. Prints for each size microseconds of a step of
a run, the ratio, and the operations of the products over the time. `--jax`, where it is installed: also `vmap` over two float32 copies
inside `scan`, whose gradients have no digits left at small gamma.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
import torch

from deepnets import MLP, DeepExperiment, tasks
from deepnets.training import batch, train

SIZES = ((16, 16, 15), (32, 32, 8), (64, 32, 6), (64, 128, 3), (128, 128, 2.4), (256, 128, 2))      # N, B, the least ratio wanted
OPERATIONS = 3e10          # about so many of each engine
AT_ONCE = 32


def measure(*works):
    """Return the least processor seconds of each work, measured in turn."""
    best = [np.inf] * len(works)
    for _ in range(3):
        for i, work in enumerate(works):
            begin = time.process_time()
            work()
            best[i] = min(best[i], time.process_time() - begin)
    return best


def make_jax(module, recipe, gamma, eta):
    """Return a function that trains the same runs by JAX."""
    import jax
    import jax.numpy as jnp

    w_0, m = [jnp.array(layer.weight.detach().numpy()) for layer in module.layers], [layer.multiplier for layer in module.layers]
    steps = len(recipe.factors)
    drawn = [batch(recipe, 0, t, torch.zeros(())) for t in range(steps + 1)]
    x, y = (jnp.array(torch.stack(part).numpy()) for part in zip(*drawn, strict=True))

    def network(w, x):
        for i, (weight, by) in enumerate(zip(w, m, strict=True)):
            x = by * x @ weight.T
            x = jnp.maximum(x, 0) if i < len(w) - 1 else x
        return x

    def train_one(g, rate):
        def step(w, samples):
            def loss(w):
                f = (network(w, samples[0]) - network(w_0, samples[0])) / g
                return ((f - samples[1]) ** 2).mean() / 2
            value, slope = jax.value_and_grad(loss)(w)
            return [a - rate * b for a, b in zip(w, slope, strict=True)], value
        return jax.lax.scan(step, w_0, (x, y))[1]

    run = jax.jit(jax.vmap(train_one))
    rate = eta * recipe.rates["layers.0.weight"]
    return lambda: run(jnp.array(gamma), jnp.array(rate)).block_until_ready()


def measure_size(N, B, runs, jax=False, operations=OPERATIONS):
    """Return seconds of a step of a run by the kernels, by torch and, with `jax`, by JAX; and the operations of one."""
    of_a_step = 2 * B * (2 * 64 * N + 4 * N * N + 4 * N * 10)
    steps = max(2, round(operations / of_a_step / runs))
    made = DeepExperiment(MLP(64, N, 3, 10), tasks.digits(), steps=steps, batch_size=B, device="cpu")
    module = made.theta_0(0)
    recipe = made.recipe(module)
    stack, gamma = recipe.choose_stack(module), np.logspace(-1, 1, runs)
    eta = np.minimum(gamma**2, gamma ** (2 / 3))

    def train_stack():
        for i in range(0, runs, AT_ONCE):
            train(module, stack, replace(recipe, engine="stack"), gamma[i:i + AT_ONCE], eta[i:i + AT_ONCE], 0)

    works = [lambda: train(module, stack, recipe, gamma, eta, 0), train_stack]
    works += [make_jax(module, recipe, gamma, eta)] if jax else []
    for work in (works[0], *works[2:]):      # compile
        work()
    return [seconds / runs / (steps + 1) for seconds in measure(*works)], of_a_step


def main(arguments=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=64)
    parser.add_argument("--jax", action="store_true")
    parser.add_argument("--operations", type=float, default=OPERATIONS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print("| N, B | fused, us | torch, us | ratio | wanted | GFLOP/s |" + (" JAX, us | ratio |" if options.jax else ""))
    print("|" + "---|" * (8 if options.jax else 6))
    for N, B, wanted in SIZES:
        (fused, stack, *jax), work = measure_size(N, B, options.runs, options.jax, options.operations)
        print(f"| {N}, {B} | {1e6 * fused:.2f} | {1e6 * stack:.1f} | {stack / fused:.1f} | {wanted} | {work / fused / 1e9:.0f} |"
              + "".join(f" {1e6 * t:.1f} | {t / fused:.1f} |" for t in jax), flush=True)


if __name__ == "__main__":
    main()
